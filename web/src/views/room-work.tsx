// Beside the conversation: the queue of tasks, the backlog, and the files that roles wrote.

import { useMemo, useState } from "react";
import { api, type BacklogItem, type Chatroom, type Task } from "../data/api";
import { call, newKey, useAct, useLive } from "../data/live";
import { Link, to } from "../route";
import { exact, excess, shorten } from "../text";
import { Age, Button, Excess, Loading, Mark, Name, Problem } from "../ui/basic";
import { Markdown } from "../ui/markdown";
import { Dialog, Menu } from "../ui/overlay";
import type { Tone } from "../words";

const TASKS: Record<Task["state"], { word: string; tone: Tone }> = {
  pending: { word: "queued", tone: "passing" },
  acknowledged: { word: "taken", tone: "busy" },
  in_progress: { word: "working", tone: "busy" },
  completed: { word: "done", tone: "good" },
  cancelled: { word: "cancelled", tone: "off" },
};

/** Two lines of a text, and all of it on demand. */
function Folded({ text }: { text: string }) {
  const [isWhole, setWhole] = useState(false);
  const isLong = text.length > 80 || text.trim().includes("\n");
  return (
    <>
      <p className={isWhole ? "whole" : "clip2"}>{exact(isWhole ? text : shorten(text, 300))}</p>
      {isLong && (
        <button type="button" className="link note" aria-expanded={isWhole} onClick={() => setWhole(!isWhole)}>
          {isWhole ? "Show less" : "Show all"}
        </button>
      )}
    </>
  );
}

export function Queue({ room }: { room: Chatroom }) {
  const isArchived = room.archivedAt !== undefined;
  const tasks = useLive(api.tasks.list, { chatroomId: room.chatroomId });
  const act = useAct();
  const count = tasks.value?.length ?? 0;
  return (
    <details className="side-block" open={count > 0 && count <= 8}>
      <summary>
        <h2>{isArchived ? "Left undone" : "Queue"}</h2> <span className="count quiet">{count}</span>
      </summary>
      <Problem error={act.error ?? tasks.error} />
      {count === 0 && <p className="note">{isArchived ? "Every task had ended when the room was archived." : "No open task. What you send to a role waits here until it is done."}</p>}
      <ul className="work">
        {tasks.value?.map((task) => (
          <li key={task.taskId}>
            {isArchived ? <Mark tone="off" label="left undone" /> : <Mark tone={TASKS[task.state].tone} label={TASKS[task.state].word} />}
            <div>
              <Folded text={task.content} />
              <p className="note">
                <Name>{task.role}</Name> · {isArchived ? "left undone" : TASKS[task.state].word} <Age at={task.updatedAt} />
                {task.delivery > 1 && ` · delivery ${task.delivery}`}
              </p>
            </div>
            {!isArchived && (
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
            )}
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
  const ended = useEndedTasks(room.chatroomId, items.value ?? []);
  const [text, setText] = useState("");
  const act = useAct();
  const isArchived = room.archivedAt !== undefined;
  return (
    <details className="side-block">
      <summary>
        <h2>Backlog</h2> <span className="count quiet">{items.value?.length ?? 0}</span>
      </summary>
      <Problem error={act.error ?? items.error} />
      <ul className="work">
        {items.value?.map((item) => {
          const end = item.taskId === undefined ? undefined : ended.get(item.taskId);
          const complete = (): void => void act.run(() => call(api.backlog.complete, { chatroomId: room.chatroomId, itemId: item.itemId }));
          return (
            <li key={item.itemId}>
              <Mark tone={end ? TASKS[end].tone : item.state === "started" ? "busy" : "off"} label={end ? `its task is ${TASKS[end].word}` : item.state} />
              <div>
                <Folded text={item.content} />
                <p className="note">
                  {item.authorRole === "user" ? "you" : exact(item.authorRole)} · {standingOf(item, end)} <Age at={item.updatedAt} />
                </p>
                {end !== undefined && !isArchived && (
                  <Button act={act} onClick={complete} aria-label={`Done: ${shorten(item.content, 60)}`}>
                    Done
                  </Button>
                )}
              </div>
              {!isArchived && (
                <Menu
                  label="More about this item"
                  items={[
                    ...(item.state === "open"
                      ? room.team.roles.map((role) => ({
                          label: `Give it to ${exact(role.name)}`,
                          onSelect: () => void act.run(() => call(api.backlog.start, { chatroomId: room.chatroomId, itemId: item.itemId, targetRole: role.name })),
                        }))
                      : []),
                    { label: "It is done", onSelect: complete },
                    { label: "Remove it", isDanger: true, onSelect: () => void act.run(() => call(api.backlog.remove, { chatroomId: room.chatroomId, itemId: item.itemId })) },
                  ]}
                />
              )}
            </li>
          );
        })}
      </ul>
      {!isArchived && (
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
      )}
      <Excess text={text} most={LONGEST_ITEM} />
    </details>
  );
}

type End = "completed" | "cancelled";

/** The tasks of started items that have ended: nobody ends an item but who knows that it is done. */
function useEndedTasks(chatroomId: string, items: BacklogItem[]): Map<string, End> {
  const isAsked = items.some((item) => item.state === "started");
  const completed = useLive(api.tasks.list, isAsked ? { chatroomId, state: "completed" } : "skip");
  const cancelled = useLive(api.tasks.list, isAsked ? { chatroomId, state: "cancelled" } : "skip");
  return useMemo(() => {
    const ends = new Map<string, End>();
    for (const task of completed.value ?? []) ends.set(task.taskId, "completed");
    for (const task of cancelled.value ?? []) ends.set(task.taskId, "cancelled");
    return ends;
  }, [completed.value, cancelled.value]);
}

function standingOf(item: BacklogItem, end: End | undefined): string {
  const role = exact(item.taskRole ?? "");
  if (end === "completed") return `given to ${role}, who has ended its task; given`;
  if (end === "cancelled") return `given to ${role}, its task was cancelled; given`;
  return item.state === "started" ? `started, ${role} has it` : "open";
}

/** Who worked in a room that is archived, with what they said. */
export function PastAgents({ room }: { room: Chatroom }) {
  const agents = useLive(api.agents.list, { chatroomId: room.chatroomId, includeEnded: true });
  return (
    <section className="side-block" aria-label="Agents that worked here">
      <h2>Agents that worked here</h2>
      <Problem error={agents.error} />
      {agents.value?.length === 0 && <p className="note">None.</p>}
      <ul className="work">
        {agents.value?.map((agent) => (
          <li key={agent.agentId}>
            <div>
              <Link href={to("agents", agent.agentId)}>
                <Name>{agent.role}</Name>
              </Link>
              <p className="note">
                {exact(agent.tool)}, started <Age at={agent.createdAt} suffix=" ago" />
              </p>
            </div>
          </li>
        ))}
      </ul>
    </section>
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
