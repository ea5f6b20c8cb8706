/**
 * The vocabulary of the wires (docs/protocol.md), for editors and type checkers. No code.
 *
 * @typedef {object} RunEvent one entry of a run's log.
 * @property {string} id the cursor `"<epoch>-<seq>"`; `seq` counts from 1 without a hole.
 * @property {string} run
 * @property {number} t_ms milliseconds since the run was created.
 * @property {string} type `text.delta`, `run.completed`, ...; unknown types are to be ignored.
 * @property {string} [text]
 * @property {string} [step] of output that belongs to a step of the recipe.
 * @property {string} [path] of `item.completed`: `tasks/3`.
 * @property {any} [value]
 * @property {Problem} [error]
 * @property {string} [reason] of `run.cancelled` and `run.restarted`.
 * @property {string} [text_sha256] of `run.completed`.
 * @property {string} [cache] of `run.started`.
 * @property {number} [position] of `run.queued`.
 * @property {{model: string, delay_ms: number} | null} [next] of `attempt.failed`: who is asked next; null if nobody.
 *
 * @typedef {(
 *   "budget_exceeded"| "cache_unavailable"| "content_refused"| "context_too_long"| "draining"|
 *   "duplicate_id"| "empty_prompt"| "forbidden"| "history_unavailable"| "host_refused"|
 *   "idempotency_conflict"| "internal_error"| "invalid_cursor"| "invalid_field"| "invalid_http"|
 *   "invalid_option"| "invalid_output"| "limit_reached"| "log_unavailable"| "malformed_request"|
 *   "method_not_allowed"| "missing_field"| "missing_key"| "missing_variable"| "model_resting"|
 *   "model_unavailable"| "not_acceptable"| "not_cached"| "not_found"| "origin_refused"|
 *   "output_too_large"| "overloaded"| "owner_lost"| "payload_too_large"| "rate_limited"|
 *   "request_timed_out"| "run_cancelled"| "run_expired"| "too_many_runs"| "too_many_streams"|
 *   "unauthenticated"| "unknown_entry"| "unknown_field"| "unknown_model"| "unknown_run"|
 *   "unknown_stream"| "unknown_template"| "unknown_variable"| "unsupported_by_model"|
 *   "unsupported_media_type"| "upstream_failed"| "upstream_rejected"| "upstream_timed_out"
 * )} ServiceCode what the service tells (docs/errors.md).
 *
 * @typedef {"unreachable"|"unexpected_answer"|"client_closed"|"events_lost"|"answer_restarted"|"text_differs"} ClientCode
 *   what no service has told: its absence, or an answer that is not to be trusted (docs/javascript.md).
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
 * @property {string} [run] the run concerned.
 * @property {number} [upstream_status] HTTP status of the model's provider.
 * @property {string} [request] finds the request in the service's log.
 *
 * @typedef {object} Criterion one judged criterion of a verdict, at `criteria/0`.
 * @property {string} id
 * @property {string} title
 * @property {number} weight
 * @property {boolean} required
 * @property {string} reason
 * @property {"met"|"partial"|"unmet"|"not_applicable"} rating
 * @property {number|null} score
 * @property {{source: string, quote: string, start: number, end: number, verified: boolean}[]} evidence
 * @property {string[]} missing
 *
 * @typedef {object} Task one task of a plan, at `tasks/0`.
 * @property {string} id
 * @property {string} title
 * @property {string} description
 * @property {"task"|"checkpoint"|"decision"} type
 * @property {string[]} depends_on ids of tasks that came before it.
 * @property {string[]} acceptance_criteria
 * @property {string[]} deliverables
 * @property {{low: number, likely: number, high: number, unit: string}} effort
 * @property {string} complexity
 * @property {string} priority
 * @property {string} risk
 * @property {{recommended: boolean, hint: string}} expand
 * @property {string[]} covers
 *
 * @typedef {{path: string, value: any}} Piece a finished piece of a result: a `Criterion`, a `Task`, ...
 *
 * @typedef {{tool_call_id: string, name: string, arguments: any, provider_metadata?: any}} ToolCall what the model asks its caller for.
 *
 * @typedef {object} Answer a whole answer; there is none of a run that failed or was cancelled.
 * @property {string} run the run's id.
 * @property {string} recipe what was asked for.
 * @property {string} model the model that answered.
 * @property {string} text the answer of generate and reason, else "".
 * @property {any} result the recipe's own object (a verdict, a plan, ...); of generate what meets the schema.
 * @property {Piece[]} items in the order in which they came.
 * @property {string} reasoning of the model, no part of the answer.
 * @property {ToolCall[]} toolCalls to be sent back as they are, with their results.
 * @property {string} finishReason the provider's, in our words.
 * @property {{input_tokens: number|null, output_tokens: number|null}} usage
 * @property {string|null} cache `miss`, `hit`, `joined` or `bypass`.
 * @property {{queued_ms: number, first_token_ms: number|null, total_ms: number}} timings
 * @property {number} attempts calls of models that were tried.
 * @property {boolean} checked whether the text is the one that was sent, by its SHA-256. Browsers
 *   compute it on HTTPS and on this machine only; elsewhere it is false.
 *
 * @typedef {object} Sink what takes a stream: a `Reader`, the page's `Run`. Calls come in the order of the wire.
 * @property {(reply: {run: string, cache?: string, claim?: string}) => void} opened the service has the run.
 * @property {(raw: string, event: RunEvent) => void} receive one event and its very bytes as text.
 * @property {() => void} severed the connection is gone; events may follow later.
 * @property {(cursor: string) => void} resumed it is back, and goes on behind the cursor.
 * @property {(gap: {after: string, first: string}) => void} gap events between the two are lost.
 * @property {(problem: Problem) => void} refused nothing will come, and why.
 * @property {() => void} ended nothing will come; the terminal event was the last.
 *
 * @typedef {object} Feed one connection's part of one run, or several in a row.
 * @property {() => void} pause read no more for now; what still arrives is dropped.
 * @property {(cursor: string) => void} resume read on behind the cursor.
 * @property {() => void} close leave: the sink hears no more, the run goes on by its own policy.
 * @property {() => Promise<void>} abandon leave, and want the run no more. May fail.
 *
 * @typedef {object} Wire
 * @property {(order: Order, sink: Sink, patience: Patience) => Feed} start
 * @property {(run: string, after: string, sink: Sink, patience: Patience) => Feed} follow
 * @property {() => void} close
 *
 * @typedef {{recipe: string, input: object}} Order what a run is to do: `input` is the body of the REST call.
 *
 * @typedef {object} LinkState
 * @property {"idle"|"connecting"|"open"|"draining"|"waiting"|"dropped"|"refused"} name `idle`: nobody
 *   wants a connection.
 * @property {number} [until] for `waiting` and `dropped`: when it tries again (`performance.now`).
 * @property {number} [code] close code of the connection before.
 */

/** @import {Patience} from "./patience.js" */

export {};
