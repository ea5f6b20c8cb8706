/** The service this page came from. */

import { Client } from "./client.js";

export const service = new Client(location.origin, { wire: "websocket" });
