// Beside the conversation: the queue of tasks, the backlog, and the files that roles wrote.

import { useState } from "react";
import { api, type Chatroom, type Task } from "../data/api";
import { call, newKey, useAct, useLive } from "../data/live";
import { exact, excess, shorten } from "../text";
import { Age, Button, Excess, Loading, Mark, Name, Problem } from "../ui/basic";
import { Markdown } from "../ui/markdown";
import { Dialog, Menu } from "../ui/overlay";
import type { Tone } from "../words";

const TASKS: Record<Task["state"], { word: string; tone: Tone }> = {
  pending: { word: "queued", tone: "passing" },
  acknowledged: { word: "taken", tone: "busy" },
  in_progress: { word: "in work", tone: "busy" },
  completed: { word: "done", tone: "good" },
  cancelled: { word: "cancelled", tone: "off" },
};

export function Queue({ room }: { room: Chatroom }) {
  const tasks = useLive(api.tasks.list, { chatroomId: room.chatroomId });
  const act = useAct();
  const count = tasks.value?.length ?? 0;
  return (
    <details className="side-block" open={count > 0 && count <= 8}>
      <summary>
        <h2>Queue</h2> <span className="count quiet">{count}</span>
      </summary>
      <Problem error={act.error ?? tasks.error} />
      {count === 0 && <p className="note">No open task. What you send to a role waits here until it is done.</p>}
      <ul className="work">
        {tasks.value?.map((task) => (
          <li key={task.taskId}>
            <Mark tone={TASKS[task.state].tone} label={TASKS[task.state].word} />
            <div>
              <p className="clip2">{exact(shorten(task.content, 200))}</p>
              <p className="note">
                <Name>{task.role}</Name> · {TASKS[task.state].word} <Age at={task.updatedAt} />
                {task.delivery > 1 && ` · delivery ${task.delivery}`}
              </p>
            </div>
            <Menu
              label={`More about this task of ${task.role}`}
              items={[
                {
                  label: "Back to the queue",
                  disabled: task.state === "pending",
                  onSelect: () => void act.run(() => call(api.tasks.requeue, { taskId: task.taskId })),
                },
                { label: "Cancel it", isDanger: true, onSelect: () => void act.run(() => call(api.tasks.cancel, { taskId: task.taskId })) },
              ]}
            />
          </li>
        ))}
      </ul>
    </details>
  );
}

/** So many characters an item of the backlog may have. */
const LONGEST_ITEM = 10_000;

export function Backlog({ room }: { room: Chatroom }) {
  const items = useLive(api.backlog.list, { chatroomId: room.chatroomId });
  const [text, setText] = useState("");
  const act = useAct();
  const open = items.value?.filter((item) => item.state === "open").length ?? 0;
  return (
    <details className="side-block">
      <summary>
        <h2>Backlog</h2> <span className="count quiet">{open}</span>
      </summary>
      <Problem error={act.error ?? items.error} />
      <ul className="work">
        {items.value?.map((item) => (
          <li key={item.itemId}>
            <Mark tone={item.state === "started" ? "busy" : "off"} label={item.state} />
            <div>
              <p className="clip2">{exact(shorten(item.content, 300))}</p>
              <p className="note">
                {item.authorRole === "user" ? "you" : exact(item.authorRole)} · {item.state === "started" ? `started, ${exact(item.taskRole ?? "")} has it` : "open"} <Age at={item.updatedAt} />
              </p>
            </div>
            <Menu
              label="More about this item"
              items={[
                ...(item.state === "open"
                  ? room.team.roles.map((role) => ({
                      label: `Give it to ${exact(role.name)}`,
                      onSelect: () => void act.run(() => call(api.backlog.start, { chatroomId: room.chatroomId, itemId: item.itemId, targetRole: role.name })),
                    }))
                  : []),
                { label: "It is done", onSelect: () => void act.run(() => call(api.backlog.complete, { chatroomId: room.chatroomId, itemId: item.itemId })) },
                { label: "Remove it", isDanger: true, onSelect: () => void act.run(() => call(api.backlog.remove, { chatroomId: room.chatroomId, itemId: item.itemId })) },
              ]}
            />
          </li>
        ))}
      </ul>
      <form
        className="inline"
        onSubmit={(event) => {
          event.preventDefault();
          const content = text.trim();
          if (content === "" || excess(content, LONGEST_ITEM) > 0) return;
          void act.run(() => call(api.backlog.add, { chatroomId: room.chatroomId, content, idempotencyKey: newKey() })).then((isDone) => isDone && setText(""));
        }}
      >
        <input value={text} aria-label="New item of the backlog" placeholder="Something for later" onChange={(event) => setText(event.target.value)} />
        <Button type="submit" act={act} disabled={text.trim() === "" || excess(text, LONGEST_ITEM) > 0}>
          Add
        </Button>
      </form>
      <Excess text={text} most={LONGEST_ITEM} />
    </details>
  );
}

export function Artifacts({ room }: { room: Chatroom }) {
  const artifacts = useLive(api.artifacts.list, { chatroomId: room.chatroomId });
  const count = artifacts.value?.length ?? 0;
  if (count === 0) return null;
  return (
    <details className="side-block">
      <summary>
        <h2>Files</h2> <span className="count quiet">{count}</span>
      </summary>
      <ul className="work">
        {artifacts.value?.map((artifact) => (
          <li key={artifact.name}>
            <div>
              <ArtifactLink chatroomId={room.chatroomId} name={artifact.name} version={artifact.version} />
              <p className="note">
                <Name>{artifact.authorRole}</Name> <Age at={artifact.createdAt} suffix=" ago" />
              </p>
            </div>
          </li>
        ))}
      </ul>
    </details>
  );
}

export function ArtifactLink({ chatroomId, name, version }: { chatroomId: string; name: string; version: number }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <>
      <button type="button" className="chip" onClick={() => setOpen(true)}>
        <bdi>{exact(name)}</bdi> <span className="note">v{version}</span>
      </button>
      <Dialog title={`${exact(name)}, version ${version}`} isOpen={isOpen} onClose={() => setOpen(false)} className="wide">
        <ArtifactText chatroomId={chatroomId} name={name} version={version} />
      </Dialog>
    </>
  );
}

function ArtifactText(args: { chatroomId: string; name: string; version: number }) {
  const artifact = useLive(api.artifacts.get, args);
  if (artifact.error) return <Problem error={artifact.error} />;
  return artifact.value === undefined ? <Loading what="Reading the file…" /> : <Markdown text={artifact.value.content} />;
}
