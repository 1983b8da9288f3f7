// What every official npm client must be able to do: node conformance.mjs PACKAGE, with URL and TOKEN in the environment.
// A line like `please: cut` asks the test that started this to do something; every other line says what was seen.
import assert from "node:assert/strict";
import { createInterface } from "node:readline";

const [name] = process.argv.slice(2);
const { URL: url, TOKEN: token } = process.env;
const { ConvexClient, ConvexHttpClient } = await import(`${name}/browser`);
const { anyApi: api } = await import(`${name}/server`);
const { ConvexError } = await import(`${name}/values`);

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
async function please(what) {
  console.log(`please: ${what}`);
  assert.equal((await answers.next()).value, "done");
}

function within(promise, what, ms = 60_000) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${ms} ms: ${what}`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function isRefused(promise, code) {
  const error = await promise.then(
    () => assert.fail(`not refused with ${code}`),
    (error) => error,
  );
  assert.ok(error instanceof ConvexError, String(error));
  assert.equal(error.data.code, code);
  assert.equal(typeof error.data.message, "string");
}

// Over HTTP.
const http = new ConvexHttpClient(url);
await assert.rejects(http.query(api.auth.whoami, {}), /credential/);
http.setAuth(token);
assert.equal((await http.query(api.auth.whoami, {})).kind, "user");
const byHttp = await http.mutation(api.chatrooms.create, { name: "by http", team: "solo" });
assert.equal((await http.query(api.chatrooms.get, { chatroomId: byHttp.chatroomId })).name, "by http");
await isRefused(http.query(api.chatrooms.get, { chatroomId: "none" }), "not_found");
await isRefused(http.mutation(api.chatrooms.create, { name: "", team: "solo" }), "bad_request");
console.log("saw: http");

// Over the socket.
const client = new ConvexClient(url);
client.setAuth(async () => token);
let rooms = [];
let look = () => {};
const told = (list) => {
  rooms = list.map((room) => room.name);
  look();
};
client.onUpdate(api.chatrooms.list, {}, told);
const shows = (room) =>
  within(
    new Promise((resolve) => {
      look = () => rooms.includes(room) && resolve();
      look();
    }),
    `the subscription shows ${room}`,
  );
assert.equal((await within(client.query(api.auth.whoami, {}), "a query")).kind, "user");
await shows("by http");
const created = await within(client.mutation(api.chatrooms.create, { name: "by socket", team: "solo" }), "a mutation");
assert.equal(typeof created.createdAt, "number");
assert.ok(rooms.includes("by socket"), "a mutation resolves after its effect is shown");
await please("create another");
await shows("another");
console.log("saw: subscription");

await isRefused(within(client.mutation(api.chatrooms.create, { name: "x", team: "none" }), "a refusal"), "unknown_team");
await isRefused(within(client.query(api.chatrooms.get, { chatroomId: "none" }), "a refusal"), "not_found");
const secret = client.mutation(api.auth.createToken, { name: "t", expiresInMs: 60_000 });
await isRefused(within(secret, "a refusal"), "http_only");
console.log("saw: errors");

await please("cut");
await shows("after the cut");
console.log("saw: reconnect");
await please("restart");
await shows("after the restart");
console.log("saw: restart");

// The answer to this call is lost after it took effect: the client sends it again under its old number.
await please("swallow the next answer");
const once = await within(client.mutation(api.chatrooms.create, { name: "once", team: "solo" }), "a replayed mutation");
await shows("once");
assert.equal(rooms.filter((room) => room === "once").length, 1);
assert.equal((await http.query(api.chatrooms.get, { chatroomId: once.chatroomId })).name, "once");
console.log("saw: replay");

// Nobody any more: what needs a user is refused, on the same socket.
client.client.clearAuth?.();
await client.close();
console.log("saw: end");
process.exit(0);
