/** The service's account over HTTP. */

/** @import {Usage} from "../types.js" */

import { service } from "../service.js";

/** @typedef {"model"|"tier"|"recipe"|"client"} Dimension */

/** @param {Dimension[]} dimensions @param {string} since a span or a time; "" = ever. @returns {Promise<Usage>} */
export function usage(dimensions, since) {
  const query = new URLSearchParams({ group_by: dimensions.join(",") });
  if (since) query.set("since", since);
  return service.http.call("GET", `/v1/usage?${query}`);
}
