// The functions of the server, with their types.

export { api } from "chatroom-api";
export type * from "chatroom-types";
