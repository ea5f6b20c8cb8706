/**
 * The vocabulary of the wires (docs/protocol.md), for editors and type checkers. No code.
 *
 * @typedef {object} RunEvent one entry of a run's log.
 * @property {string} id the cursor `"<epoch>-<seq>"`; `seq` counts from 1 without a hole.
 * @property {string} run
 * @property {number} t_ms milliseconds since the run was created.
 * @property {string} type `text.delta`, `run.completed`, ...; unknown types are to be ignored.
 * @property {string} [text]
 * @property {Problem} [error]
 * @property {{model: string, delay_ms: number} | null} [next] of `attempt.failed`: who is asked next; null if nobody.
 *
 * @typedef {object} Problem why something failed (RFC 9457, with fields of our own).
 * @property {string} title
 * @property {number} status
 * @property {string} detail one or two sentences: what is wrong and what to do.
 * @property {string} code stable; docs/errors.md lists them.
 * @property {boolean} retryable whether the same request may succeed later.
 * @property {string} [type] where the code is explained.
 * @property {string} [field] path of the request field at fault.
 * @property {number} [retry_after_ms]
 * @property {string} [request] finds the request in the service's log.
 *
 * @typedef {object} Sink what takes a stream; `Run` is one. Calls come in the order of the wire.
 * @property {(reply: {run: string, cache?: string}) => void} opened the service has the run.
 * @property {(raw: string, event: RunEvent) => void} receive one event and its very bytes as text.
 * @property {() => void} severed the connection is gone; events may follow later.
 * @property {(cursor: string) => void} resumed it is back, and goes on behind the cursor.
 * @property {(gap: {after: string, first: string}) => void} gap events between the two are lost.
 * @property {(problem: Problem) => void} refused nothing will come, and why.
 * @property {() => void} ended nothing will come; the terminal event was the last.
 *
 * @typedef {object} LinkState
 * @property {"connecting"|"open"|"draining"|"waiting"|"dropped"|"refused"} name
 * @property {number} [until] for `waiting` and `dropped`: when it tries again (`performance.now`).
 * @property {number} [code] close code of the connection before.
 */
export {};
