/**
 * What the page asks for and is told besides runs, for editors and type checkers. No code.
 *
 * @typedef {object} Model one entry of GET /v1/models.
 * @property {string} id
 * @property {string[]} aliases
 * @property {boolean} is_default
 * @property {boolean} supports_schema
 * @property {boolean} supports_tools
 * @property {{properties?: Record<string, object>}} options JSON Schema of its options.
 *
 * @typedef {object} Template one entry of GET /v1/templates.
 * @property {string} name
 * @property {string} recipe
 * @property {string[]} variables `input` is where the prompt goes.
 * @property {Record<string, string>} [defaults]
 * @property {string|null} prompt
 * @property {string|null} system
 *
 * @typedef {object} RunLine one run, as GET /v1/runs lists it.
 * @property {string} id
 * @property {string} recipe
 * @property {string} model
 * @property {"queued"|"running"|"completed"|"failed"|"cancelled"} state
 * @property {string} title first words of the request.
 * @property {string|null} template
 * @property {string[]} tags
 * @property {string} created_at
 * @property {Record<string, any>} statistics `chunks`, `first_token_ms`, `total_ms`, `output_tokens`, `readers`, ...
 *
 * @typedef {Omit<RunLine, "template"|"tags"> & {ended_at: string, error_code: string|null, partial: boolean}} PastLine
 *   one run, as GET /v1/history lists it.
 *
 * @typedef {object} PastAnswer
 * @property {"completed"|"failed"|"cancelled"} state
 * @property {string|null} template
 * @property {string} text
 * @property {string|null} reasoning
 * @property {{path: string, value: any}[]} items
 * @property {Record<string, any>[]} tool_calls
 * @property {{role: string, content: string}[]} messages what was asked.
 * @property {PastLine[]} runs that its recipe has asked for.
 * @property {any} result
 * @property {string|null} finish_reason
 * @property {string} [reason] of a cancel.
 * @property {{code: string, title: string, type: string}} [error]
 * @property {{input_tokens: number|null, output_tokens: number|null, total_ms: number, first_token_ms: number|null}} statistics
 *
 * @typedef {PastLine & PastAnswer} PastSnapshot a run, as GET /v1/history/{run} tells it.
 *
 * @typedef {object} CacheEntry one kept answer, as GET /v1/cache lists it.
 * @property {string} key its fingerprint, 64 hex digits.
 * @property {string} recipe
 * @property {string} model
 * @property {string|null} template
 * @property {string} title first words of the request.
 * @property {string[]} tags
 * @property {number} age_seconds
 * @property {number} ttl_seconds how long it stays fresh; negative = stale for so long.
 * @property {number} bytes
 * @property {{input_tokens: number|null, output_tokens: number|null}} usage what a hit saves.
 * @property {number} saves_ms
 *
 * @typedef {object} CacheStatistics counted since the service was started.
 * @property {number} hits
 * @property {number} misses
 * @property {number} stale given although its time was up, while computed anew.
 * @property {number} faults
 * @property {number} tokens_saved by all hits.
 * @property {number} cost_saved the same in the currency of `cache.prices`; 0 without prices.
 * @property {number} restored answers found in the history, from before a restart.
 * @property {number|null} hit_rate 0 to 1, null = nobody has asked.
 * @property {number|null} entries null = the backend cannot tell.
 * @property {number|null} bytes
 * @property {number|null} evictions
 *
 * @typedef {object} CachePage
 * @property {CacheEntry[]} entries newest first.
 * @property {number} total
 * @property {CacheStatistics} statistics
 *
 * @typedef {Record<string, any>} UsageGroup sums of the account, and the values of what it is grouped by.
 *
 * @typedef {object} Usage what GET /v1/usage answers.
 * @property {string[]} group_by
 * @property {UsageGroup[]} groups the one that has spent most tokens first.
 * @property {UsageGroup} total
 * @property {number} not_recorded runs that the history has lost.
 *
 * @typedef {object} Fault one entry of faults.json: what a mock provider can be asked to do wrong.
 * @property {string} words what stands behind `mock-` in the model's name; "" = nothing is wrong.
 * @property {string} title
 * @property {string} shows what is going to be seen.
 * @property {Record<string, any>} [request] fields that the request needs besides.
 * @property {boolean} [fallback] whether a mock that answers well is the fallback.
 *
 * @typedef {object} Catalog
 * @property {string[]} mocks providers that are mocks.
 * @property {Fault[]} faults what they can do wrong; empty without mocks.
 * @property {Model[]} models
 * @property {Record<string, string>} aliases
 * @property {Template[]} templates
 */
export {};
