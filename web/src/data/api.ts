// The functions of the server, with their types.

import { api as generated, type Api } from "chatroom-api";
import { pending } from "./pending";

export const api = generated as unknown as Omit<Api, "agents"> & typeof pending;
export type * from "chatroom-types";
export type * from "./pending";
