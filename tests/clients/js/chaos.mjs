// A plain Node process that lives through chaos: it holds one live query, and sends numbered messages one after the other.
// `node chaos.mjs ROOM`, with URL and TOKEN in the environment. A line on standard input is answered: `stop` sends no more,
// `look` tells what the live query shows and which messages were answered.
import { createInterface } from "node:readline";
import { ConvexClient } from "convex/browser";
import { anyApi as api } from "convex/server";

const [chatroomId] = process.argv.slice(2);
const client = new ConvexClient(process.env.URL, { logger: false });
client.setAuth(async () => process.env.TOKEN);

let shown = [];
let updates = 0;
client.onUpdate(api.messages.list, { chatroomId, limit: 50 }, (messages) => {
  shown = messages.map((message) => message.messageId);
  updates += 1;
});

const answered = [];
let stopped = false;
const sending = (async () => {
  for (let number = 0; !stopped; number += 1) {
    const sent = await client.mutation(api.messages.send, { chatroomId, content: `message ${number}` });
    answered.push(sent.messageId);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
})();

console.log("ready");
for await (const line of createInterface({ input: process.stdin })) {
  if (line === "stop") {
    stopped = true;
    await sending;
    console.log("stopped");
  } else if (line === "look") {
    console.log(JSON.stringify({ shown, answered, updates }));
  }
}
