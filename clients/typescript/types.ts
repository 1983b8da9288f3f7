// Made by `chatroom generate-typescript` from the functions of the server. Do not edit.

/** What the server says to an ack. */
export type AckOutcome = {
  /** For a claim: what to do. */
  order?: WorkOrder;
  outcome: "applied";
} | {
  outcome: "stale";
} | {
  outcome: "missing";
} | {
  outcome: "superseded";
};

/** An agent as its owner sees it. */
export type Agent = {
  /** Its id. */
  agentId: AgentId;
  /** The room. */
  chatroomId: ChatroomId;
  /** The command that started it. */
  commandId: CommandId;
  /** When its start was sent. */
  createdAt: UnixMs;
  /** When its daemon last spoke of it; the age of the evidence. */
  heardAt?: UnixMs;
  /** On which machine. */
  machineId: MachineId;
  /** Which model, when one was chosen. */
  model?: string;
  /** What it may do without asking. */
  permissionMode: PermissionMode;
  /** Version of the prompt that it was started with; none before its start was claimed. */
  promptVersion?: string;
  /** The role. */
  role: string;
  /** How its session stands, as its transcript tells. */
  session: AgentSession;
  /** Which tool. */
  tool: ToolName;
  /** Where it works. */
  workingDir: string;
} & ({
  /** Since when. */
  since: UnixMs;
  state: "starting";
} | {
  /** Process id of the tool on its machine. */
  pid: number;
  /** Since when. */
  since: UnixMs;
  state: "running";
} | {
  /** Process id of the tool on its machine, when known. */
  pid: number | null;
  /** Since when. */
  since: UnixMs;
  state: "stopping";
} | {
  /** When. */
  at: UnixMs;
  /** How. */
  exit: AgentExit;
  state: "exited";
} | {
  /** When. */
  at: UnixMs;
  /** Why, for a person. */
  reason: string;
  state: "failed";
});

/** What "start" uses for a role on a machine. */
export type AgentConfig = {
  /** The room. */
  chatroomId: ChatroomId;
  /** The machine. */
  machineId: MachineId;
  /** Which model, in the tool's own words; the tool's default when absent. */
  model?: string;
  /** What it may do without asking. */
  permissionMode: PermissionMode;
  /** The role, in lower case. */
  role: string;
  /** Whether a task that comes for the role starts its agent. */
  startOnTask: boolean;
  /** Which tool. */
  tool: ToolName;
  /** When it was last changed. */
  updatedAt: UnixMs;
  /** Absolute path on the machine. */
  workingDir: string;
};

/** How a process ended. */
export type AgentExit = {
  /** Exit code. */
  code: number;
  how: "code";
} | {
  how: "signal";
  /** Signal number. */
  signal: number;
} | {
  how: "stopped";
} | {
  how: "shut_down";
} | {
  how: "unusable";
  /** Why, and what to do. */
  trouble: Trouble;
} | {
  how: "lost";
};

/** One started process (or live session) that holds a role in a room. */
export type AgentId = string;

/** Something that an owner sent into an agent's session. */
export type AgentInput = {
  /** To which agent. */
  agentId: AgentId;
  /** When it was sent. */
  createdAt: UnixMs;
  /** Its id. */
  inputId: InputId;
} & ({
  input: "say";
  /** What. */
  text: string;
} | {
  input: "cancel";
} | {
  /** Who decided. */
  by: Decider;
  /** What to answer. */
  choice: Choice;
  input: "answer";
  /** The agent's name of the request. */
  requestId: string;
}) & ({
  state: "queued";
} | {
  /** When. */
  at: UnixMs;
  state: "delivered";
} | {
  /** When. */
  at: UnixMs;
  /** Why, for a person. */
  reason: string;
  state: "refused";
});

/** How the session of an agent stands, as its transcript tells. Three facts beside that of its process: each by its own evidence. */
export type AgentSession = {
  /** When the newest event was recorded, by the server's clock: the age of this evidence. */
  heardAt?: UnixMs;
  /** The number of the newest event of its transcript; zero before the first. */
  lastSeq: number;
  /** How many permission requests wait for an answer. */
  openPermissions: number;
  /** The tool's own name of the session, with which it can be taken up again. */
  sessionId?: string;
  /** What keeps its tool from working, by the tool's own word. */
  trouble?: Trouble;
  /** Where its turn stands; none while nothing was heard of its session. */
  turn?: Turn;
};

/** Answer of `agents.appendTranscript`. */
export type Appended = {
  /** The number of the last event that the server has. */
  through: number;
};

/** A markdown file of a room, in one version. */
export type Artifact = {
  /** For which user. */
  authorName: string;
  /** Who wrote this version: a role, or `user`. */
  authorRole: string;
  /** Size of the text in bytes (UTF-8). */
  bytes: number;
  /** When. */
  createdAt: UnixMs;
  /** Its name, for example `plan.md`. */
  name: string;
  /** Counted from 1; the same name written again is the next version. */
  version: number;
};

/** One version of an artifact, by name. */
export type ArtifactRef = {
  /** Its name, for example `plan.md`. */
  name: string;
  /** Counted from 1. */
  version: number;
};

/** An artifact with its text. */
export type ArtifactText = {
  /** For which user. */
  authorName: string;
  /** Who wrote this version: a role, or `user`. */
  authorRole: string;
  /** Size of the text in bytes (UTF-8). */
  bytes: number;
  /** Its text. */
  content: string;
  /** When. */
  createdAt: UnixMs;
  /** Its name, for example `plan.md`. */
  name: string;
  /** Counted from 1; the same name written again is the next version. */
  version: number;
};

/** Something to be done in a room some day. */
export type BacklogItem = {
  /** Who added it: a role, or `user`. */
  authorRole: string;
  /** The room. */
  chatroomId: ChatroomId;
  /** What is to be done. */
  content: string;
  /** When it was added. */
  createdAt: UnixMs;
  /** Its id. */
  itemId: BacklogItemId;
  /** Where it stands. */
  state: BacklogState;
  /** The task that its start made. */
  taskId?: TaskId;
  /** The role that got that task. */
  taskRole?: string;
  /** When its state last changed. */
  updatedAt: UnixMs;
};

/** Something to be done some day. */
export type BacklogItemId = string;

/** Where a backlog item stands. */
export type BacklogState = "open" | "started" | "completed";

/** The one fact that keeps a role from working. */
export type Blocked = {
  /** Which fact. */
  by: BlockedBy;
  /** In one sentence, for a person. */
  message: string;
  /** The command that mends it. */
  repair?: string;
  /** Since when. */
  since: UnixMs;
};

/** The facts that can keep a role from working, the one that counts first standing first. */
export type BlockedBy = "not_configured" | "machine" | "tool" | "not_started" | "ended" | "restarting" | "passing" | "trouble" | "permission" | "needs_you";

/** Where a tool call stands. */
export type CallStatus = "pending" | "in_progress" | "completed" | "failed";

/** A chatroom as its owner sees it. */
export type Chatroom = {
  /** When it was archived. */
  archivedAt?: UnixMs;
  /** Its id. */
  chatroomId: ChatroomId;
  /** When it was made. */
  createdAt: UnixMs;
  /** Its name. */
  name: string;
  /** The room's own copy of its team. */
  team: Team;
};

/** A chatroom. */
export type ChatroomId = string;

/** What an answer to a permission request means. */
export type Choice = "allow_once" | "allow_always" | "reject_once" | "reject_always";

/** Answer of `tasks.claim`. */
export type ClaimOutcome = {
  /** What to print. */
  delivery: Delivery;
  outcome: "claimed";
} | {
  outcome: "gone";
} | {
  outcome: "superseded";
  /** Why, for a person. */
  reason: string;
};

/** A command as its owner sees it. */
export type Command = {
  /** Its id. */
  commandId: CommandId;
  /** When it was sent. */
  createdAt: UnixMs;
  /** Until when it must have been begun. */
  expiresAt: UnixMs;
  /** For which machine. */
  machineId: MachineId;
} & ({
  payload: StartAgent;
  type: "start-agent";
} | {
  payload: RoleSlot;
  type: "stop-agent";
} | {
  payload: RoleSlot;
  type: "restart-agent";
} | {
  payload: NoPayload;
  type: "ping";
} | {
  payload: NoPayload;
  type: "status";
} | {
  payload: ToolRef;
  type: "list-models";
} | {
  payload: DirRef;
  type: "check-dir";
}) & ({
  status: "pending";
} | {
  /** When it was first claimed. */
  claimedAt: UnixMs;
  status: "processing";
} | {
  /** When. */
  finishedAt: UnixMs;
  /** What came of it. */
  result: CommandResult;
  status: "completed";
} | {
  /** Why, and what to do. */
  failure: CommandFailure;
  /** When. */
  finishedAt: UnixMs;
  status: "failed";
});

/** Why a command failed. */
export type CommandFailure = {
  /** Which failure. */
  code: FailureCode;
  /** What to do about it. */
  hint?: string;
  /** What happened, for a person. */
  message: string;
};

/** An instruction to a machine. */
export type CommandId = string;

/** What came of a completed command. */
export type CommandResult = {
  /** Which agent. */
  agentId: AgentId;
  kind: "started";
  /** Its process id on the machine. */
  pid: number;
} | {
  /** Which agent. */
  agentId: AgentId;
  /** How it ended. */
  exit: AgentExit;
  kind: "started_then_exited";
} | {
  /** Which agent. */
  agentId: AgentId;
  kind: "started_then_lost";
} | {
  /** Which agent. */
  agentId: AgentId;
  kind: "already_running";
} | {
  /** Which agent. */
  agentId: AgentId;
  /** How it ended. */
  exit: AgentExit;
  kind: "stopped";
} | {
  kind: "not_running";
} | {
  kind: "pong";
} | MachineStatus & {
  kind: "status";
} | ModelList & {
  kind: "models";
} | {
  kind: "dir_is_usable";
  /** The directory with every link resolved. */
  path: string;
};

/** Whether a machine's daemon is there. It comes from the socket and a lease, never from a stored wish. */
export type ConnectionState = "connected" | "silent" | "disconnected" | "unknown";

/** A point from which a room's conversation counts anew: what was said before is left out of what roles are given to read. */
export type Context = {
  /** The last message before it. */
  afterSequence: number;
  /** Who made it: a role, or `user`. */
  authorRole: string;
  /** What one must know. */
  content: string;
  /** Its id. */
  contextId: ContextId;
  /** When. */
  createdAt: UnixMs;
  /** What it is about, in one line. */
  title: string;
};

/** A point from which a room's conversation counts anew. */
export type ContextId = string;

/** A credential as its owner sees it: never the secret. */
export type Credential = {
  /** When it was made. */
  createdAt: UnixMs;
  /** Its id. */
  credentialId: CredentialId;
  /** When it ends by itself. */
  expiresAt?: UnixMs;
  /** `cli`, `browser`, `script`, `machine` or `agent`. */
  kind: string;
  /** When it was last used (kept to the minute). */
  lastUsedAt?: UnixMs;
  /** What it is called. */
  name: string;
  /** What it may do. */
  scope: TokenScope;
};

/** A stored credential (never the secret itself). */
export type CredentialId = string;

/** Answer of `machines.openDaemonSession`. */
export type DaemonSessionOpened = {
  /** The session's epoch; a newer one fences it. */
  epoch: number;
  /** The server's clock now, to compare deadlines with. */
  serverTime: UnixMs;
  /** Agents that run but should not (their room or role is gone, or another took the role): stop them. */
  unwanted: AgentId[];
};

/** Answer of `machines.updateDaemonStatus`. */
export type DaemonStatusOutcome = {
  outcome: "applied";
  /** Agents that run but should not: stop them. */
  unwanted: AgentId[];
} | {
  outcome: "superseded";
};

/** Who answered a permission request. */
export type Decider = "mode" | "rule" | "person" | "expiry";

/** A task handed to a waiter. */
export type Delivery = {
  /** What to print: the task, its context and the exact next commands. Made on the server. */
  brief: string;
  /** For a live session: what to say when a turn ends and the task is still open. */
  reminder?: string;
  /** The task, with the delivery number of this hand-over. */
  task: Task;
};

/** Whether a role's agent is wanted: the intent of its owner, beside what is. */
export type Desired = {
  /** Who wanted so. */
  by: DesiredBy;
  /** Why it is not started again by itself: it has ended too often, or starting it would not help. Until its owner starts it. */
  givenUp?: string;
  /** On which machine. */
  machineId: MachineId;
  /** When it will be started again after it ended by itself; the machine must be connected then. */
  restartAt?: UnixMs;
  /** Whether it is to run. */
  running: boolean;
  /** Since when. */
  since: UnixMs;
};

/** Who wanted an agent to run or not. */
export type DesiredBy = "owner" | "machine" | "task" | "server";

/** A device login as the person who approves sees it. */
export type DeviceLogin = {
  /** Network address that the request came from. */
  address: string;
  /** When it ends. */
  expiresAt: UnixMs;
  /** What the machine calls itself. */
  machineName: string;
  /** When it began. */
  requestedAt: UnixMs;
  /** Where it stands. */
  status: DeviceLoginStatus;
  /** As shown on the machine. */
  userCode: string;
};

/**
 * Answer of `auth.pollDeviceLogin` after approval. Before that it refuses with `authorization_pending`, `slow_down`,
 * `access_denied` or `expired_token`.
 */
export type DeviceLoginDone = {
  /** Whom it speaks for. */
  identity: Identity;
  /** The user token. */
  token: string;
};

/** Answer of `auth.startDeviceLogin`; fields as in RFC 8628 section 3.2. */
export type DeviceLoginStarted = {
  /** Secret to poll with. */
  deviceCode: string;
  /** Seconds until the codes end. */
  expiresIn: number;
  /** Seconds between polls. */
  interval: number;
  /** Eight letters for the person, written `XXXX-XXXX`. */
  userCode: string;
  /** Where to approve. */
  verificationUri: string;
  /** The same with the code filled in. */
  verificationUriComplete: string;
};

/** Where a device login stands. */
export type DeviceLoginStatus = "pending" | "approved" | "denied" | "redeemed";

/** A change of one file. */
export type Diff = {
  /** What stands there then. */
  newText: string;
  /** What stood there; absent for a new file. */
  oldText?: string;
  /** The file. */
  path: string;
};

/** Names a directory of the machine. */
export type DirRef = {
  /** Absolute path, without NUL, at most 4096 bytes. */
  path: string;
};

/** How a tool is spoken to. */
export type DriverKind = "acp" | "claude" | "one-shot";

/** Arguments of a function that takes none, and the answer of one that has nothing to say. */
export type Empty = Record<string, never>;

/** Why a call was refused. The text of a code is part of the API and never changes its meaning. */
export type ErrorCode = "bad_request" | "http_only" | "authorization_pending" | "slow_down" | "access_denied" | "expired_token" | "unauthenticated" | "forbidden" | "not_found" | "conflict" | "stale" | "superseded" | "role_taken" | "machine_owned_by_other" | "tool_not_available" | "no_agent_config" | "unknown_role" | "unknown_team" | "unknown_model" | "agent_ended" | "invalid_working_dir" | "permission_mode_unsupported" | "idempotency_key_reused" | "limit_reached" | "rate_limited" | "internal" | "unavailable";

/** The kinds of failure of a command. */
export type FailureCode = "expired" | "cancelled" | "tool_missing" | "working_dir_missing" | "working_dir_denied" | "spawn_failed" | "exited_at_once" | "storage_failed" | "stop_failed" | "not_signed_in" | "internal" | "unsupported" | "outcome_unknown" | "machine_removed";

/** Answer of `tasks.handoff`; a second handoff of the same hand-over gives the first one's. */
export type HandedOff = {
  /** The message. */
  messageId: MessageId;
  /** To whom it went. */
  nextRole: string;
  /** The next role's task; none when handed to the user. */
  nextTaskId?: TaskId;
  /** Whether it took effect now or before. */
  write: TaskWrite;
};

/** Answer of `tasks.getHeld`. */
export type HeldTask = {
  /** The number of its hand-over; zero without a task. */
  delivery: number;
  /** The task; none when the agent holds none. */
  taskId?: TaskId;
};

/** Who a credential speaks for. */
export type Identity = {
  kind: "user";
  /** Which. */
  userId: UserId;
  /** Their name. */
  userName: string;
} | {
  kind: "machine";
  /** Which. */
  machineId: MachineId;
  /** Its owner. */
  userId: UserId;
} | {
  /** Which. */
  agentId: AgentId;
  /** Its room. */
  chatroomId: ChatroomId;
  kind: "agent";
  /** The machine that it runs on. */
  machineId: MachineId;
  /** Its role. */
  role: string;
  /** Its owner. */
  userId: UserId;
};

/** Answer of `agents.getInbox`. */
export type Inbox = {
  /** What waits, oldest first; at most 200. */
  inputs: QueuedInput[];
  session: "current";
} | {
  session: "superseded";
};

/** An init prompt. */
export type InitPrompt = {
  /** The text. */
  prompt: string;
  /** Changes whenever the text of some prompt changes. */
  version: string;
};

/** Something that an owner sent into an agent's session. */
export type InputId = string;

/** Answer of `backlog.start`. */
export type ItemStarted = {
  /** The item after it. */
  item: BacklogItem;
  /** The message that was made of it. */
  messageId: MessageId;
  /** The role that it went to. */
  role: string;
  /** The task that was made of it. */
  taskId: TaskId;
  /** Whether it took effect now or before. */
  write: TaskWrite;
};

/** Answer of a write to an item. */
export type ItemWritten = {
  /** The item after it. */
  item: BacklogItem;
  /** Whether it took effect now or before. */
  write: TaskWrite;
};

/** Answer of `participants.join`. */
export type Joined = {
  /** The room's name. */
  chatroomName: string;
  /** The role, in lower case. */
  role: string;
};

/** A team, and whose it is. */
export type ListedTeam = {
  /** Whether it comes with chatroom; such a team cannot be changed. */
  builtIn: boolean;
  /** The role that gets messages without one. */
  entryRole: string;
  /** For example `duo`. */
  name: string;
  /** In order of rank. */
  roles: TeamRole[];
};

/** A machine as its owner sees it. */
export type Machine = {
  /** Agents that are not at their end. */
  agents: Agent[];
  /** `x86_64`, `aarch64`, ... */
  arch: string;
  /** Tools found at the last detection, missing ones included. */
  availableTools: ToolReport[];
  /** Absolute path of the CLI on the machine; prompts name it. */
  cliPath: string;
  /** Version of the CLI on the machine. */
  cliVersion: string;
  /** Whether its daemon is there. */
  connection: ConnectionState;
  /** Since when the connection is so, by the server's clock. */
  connectionSince: UnixMs;
  /** As the machine tells it. */
  hostname: string;
  /** When it last called. Wakes no subscription. */
  lastSeenAt: UnixMs;
  /** Its id. */
  machineId: MachineId;
  /** The owner's name for it; the hostname until renamed. */
  name: string;
  /** `linux`, `macos`, ... */
  os: string;
  /** When it was registered. */
  registeredAt: UnixMs;
  /** Whether it has a credential of its own. Without one (it was revoked) its daemon cannot connect until somebody signs in there. */
  signedIn: boolean;
};

/** An agent config with the machine that it is for. */
export type MachineAgentConfig = {
  /** The room. */
  chatroomId: ChatroomId;
  /** Whether its daemon is there. */
  connection: ConnectionState;
  /** Since when. */
  connectionSince: UnixMs;
  /** The machine. */
  machineId: MachineId;
  /** The machine's name. */
  machineName: string;
  /** Which model, in the tool's own words; the tool's default when absent. */
  model?: string;
  /** What it may do without asking. */
  permissionMode: PermissionMode;
  /** The role, in lower case. */
  role: string;
  /** Whether a task that comes for the role starts its agent. */
  startOnTask: boolean;
  /** Which tool. */
  tool: ToolName;
  /** Whether the tool is available there, by the last detection. */
  toolAvailable: boolean;
  /** When it was last changed. */
  updatedAt: UnixMs;
  /** Absolute path on the machine. */
  workingDir: string;
};

/** A computer with the CLI: a UUID made once, kept in `~/.chatroom/machine.json`. */
export type MachineId = string;

/** What a machine tells about itself. */
export type MachineStatus = {
  /** Agents that run under it. */
  agents: AgentId[];
  /** CLI version of the running daemon. */
  cliVersion: string;
  /** Hostname. */
  hostname: string;
  /** Process id of the daemon. */
  pid: number;
};

/** Answer of `messages.markSeen`. */
export type MarkedSeen = {
  /** How many messages had not been seen before. */
  count: number;
};

/** A message in a room. */
export type Message = {
  /** The artifacts that go with it, each in the version that was meant. */
  artifacts?: ArtifactRef[];
  /** The room. */
  chatroomId: ChatroomId;
  /** The text. */
  content: string;
  /** When it was written. */
  createdAt: UnixMs;
  /** What kind. */
  kind: MessageKind;
  /** Its id. */
  messageId: MessageId;
  /** What became of it; none for a progress note. */
  receipt?: Receipt;
  /** Who wrote it: a role, or `user`. */
  senderRole: string;
  /** Its place in the room, counted from 1 without gaps. */
  sequence: number;
  /** For whom: a role, or `user`. */
  targetRole: string;
  /** The task that it made, if any; of a progress note, the task that it is about. */
  taskId?: TaskId;
};

/** A message in a room. */
export type MessageId = string;

/** What kind of message it is. */
export type MessageKind = "message" | "handoff" | "progress";

/** A model of a tool. */
export type Model = {
  /** The tool's name of it: what a config says. */
  id: string;
  /** For a person. */
  name: string;
};

/** The models of a tool on a machine. */
export type ModelList = {
  /** The one that is used when none is chosen, when the tool tells. */
  default?: string;
  /** Whether there are no others: then a name that is not in the list is refused. */
  isComplete: boolean;
  /** The models. */
  models: Model[];
};

/** What a waiter is to do. */
export type NextTask = {
  next: "wait";
  /** Why nothing comes although work stands in the queue, if so. */
  reason?: string;
} | {
  next: "claim";
  /** Which task. */
  taskId: TaskId;
} | {
  next: "superseded";
  /** Why, for a person. */
  reason: string;
};

/** A payload without fields; other fields are refused. */
export type NoPayload = Record<string, never>;

/** Somebody who waits for work. */
export type Participant = {
  /** The agent that waits, when a started one does. */
  agentId?: AgentId;
  /** The machine it waits on, if told. */
  machineId?: MachineId;
  /** The role. */
  role: string;
  /** Since when that is so. */
  since: UnixMs;
  /** Whether a socket of the newest waiter is open now. */
  waiting: boolean;
};

/** A command as the daemon gets it: by reference; details come with the claim. */
export type PendingCommand = {
  /** Whether an older session of this machine has claimed it (then this session claims it again, the same attempt). */
  claimedBefore: boolean;
  /** Its id. */
  commandId: CommandId;
  /** When it was sent, by the server's clock. */
  createdAt: UnixMs;
  /** Until when it must have been begun, by the server's clock. */
  expiresAt: UnixMs;
} & ({
  payload: StartAgent;
  type: "start-agent";
} | {
  payload: RoleSlot;
  type: "stop-agent";
} | {
  payload: RoleSlot;
  type: "restart-agent";
} | {
  payload: NoPayload;
  type: "ping";
} | {
  payload: NoPayload;
  type: "status";
} | {
  payload: ToolRef;
  type: "list-models";
} | {
  payload: DirRef;
  type: "check-dir";
});

/** Answer of `machines.getPendingCommands`. */
export type PendingCommands = {
  /** Pending commands, and processing ones that an older session claimed; oldest first. */
  commands: PendingCommand[];
  session: "current";
} | {
  session: "superseded";
};

/** A request of an agent for a permission. */
export type Permission = {
  /** The agent that asks. */
  agentId: AgentId;
  /** When it was asked, by the server's clock. */
  askedAt: UnixMs;
  /** Its room. */
  chatroomId: ChatroomId;
  /** The shell command, when it is one. */
  command?: string;
  /** When it is refused if nobody has answered. */
  expiresAt: UnixMs;
  /** Its machine. */
  machineId: MachineId;
  /** What may be answered. */
  options: PermissionOption[];
  /** The files that it touches. */
  paths?: string[];
  /** Its id. */
  permissionId: PermissionId;
  /** The agent's name of the request. */
  requestId: string;
  /** Its role. */
  role: string;
  /** What it wants to do, for a person. */
  title: string;
  /** What kind of deed it is. */
  toolKind: ToolKind;
} & ({
  state: "pending";
} | {
  /** When. */
  at: UnixMs;
  /** Who answered. */
  by: Decider;
  /** What the answer means. */
  choice: Choice;
  state: "answered";
} | {
  /** When. */
  at: UnixMs;
  state: "withdrawn";
});

/** A request of an agent for a permission. */
export type PermissionId = string;

/** What an agent may do without asking. */
export type PermissionMode = "ask" | "accept-edits" | "full";

/** One of the answers that a permission request takes. */
export type PermissionOption = {
  /** What it means. Options are chosen by this, never by name or place. */
  kind: Choice;
  /** For a person. */
  name: string;
  /** The tool's name of it; means nothing to us. */
  optionId: string;
};

/** How a permission request ended. */
export type PermissionOutcome = {
  /** Who answered. */
  by: Decider;
  /** What the answer means. */
  choice: Choice;
  how: "selected";
} | {
  how: "withdrawn";
};

/** A step of a plan. */
export type PlanStep = {
  /** What is to be done. */
  content: string;
  /** Where it stands. */
  status: CallStatus;
};

/** Answer of `messages.reportProgress`. */
export type ProgressReported = {
  /** The note. */
  messageId: MessageId;
  /** Whether this was the first sign of work ([`TaskWrite::Applied`]) or the task was started before. */
  started: TaskWrite;
};

/** Why something was said to an agent. */
export type PromptSource = {
  by: "task";
  /** The number of the hand-over. */
  delivery: number;
  /** Which. */
  taskId: TaskId;
} | {
  by: "reminder";
  /** The number of the hand-over. */
  delivery: number;
  /** Which. */
  taskId: TaskId;
} | {
  by: "person";
  /** Which input. */
  inputId: InputId;
};

/** An input that waits to be taken. */
export type QueuedInput = {
  /** For which agent. */
  agentId: AgentId;
  /** Its id. */
  inputId: InputId;
} & ({
  input: "say";
  /** What. */
  text: string;
} | {
  input: "cancel";
} | {
  /** Who decided. */
  by: Decider;
  /** What to answer. */
  choice: Choice;
  input: "answer";
  /** The agent's name of the request. */
  requestId: string;
});

/** What became of a message, of which stage since when. */
export type Receipt = {
  /** The agent that was handed it last, when a started agent was. */
  agentId?: AgentId;
  /** When it was handed out last. Still told while it is queued again because nobody confirmed it. */
  deliveredAt?: UnixMs;
  /** How often it was handed to somebody. */
  delivery: number;
  /** When it was done or cancelled. */
  endedAt?: UnixMs;
  /** When it was written. */
  queuedAt: UnixMs;
  /** By whom: the role that has its task, or `user`. */
  role: string;
  /** When that hand-over was confirmed, or when the person saw it. */
  seenAt?: UnixMs;
  /** How far it has come. */
  stage: ReceiptStage;
  /** When work on it began. */
  startedAt?: UnixMs;
};

/** How far a message has come. A message to a role follows its task; one to the user is queued until the person has seen it. */
export type ReceiptStage = "queued" | "delivered" | "seen" | "started" | "done" | "cancelled";

/** A refused call: `errorData` on the wire, next to `errorMessage`. */
export type Refusal = {
  /** Which refusal this is. */
  code: ErrorCode;
  /** What to do about it, for a person. */
  hint?: string;
  /** What happened and why, for a person. */
  message: string;
};

/** Answer of `machines.register`. */
export type Registered = {
  /** The machine credential, when asked for. */
  credential?: string;
  /** Whether the machine was unknown before. */
  isNew: boolean;
  /** As given. */
  machineId: MachineId;
};

/** Answer of `contexts.read`. */
export type RoleContext = {
  /**
   * The room's artifacts, newest first, each in its newest version: those written since the context began, and those that
   * came with the task. At most 50.
   */
  artifacts: Artifact[];
  /** All of it in words for an agent that has lost its memory: who it is, what it works on, the exact next commands. */
  brief: string;
  /** The context that counts now, if one was begun. */
  context?: Context;
  /** Pass it as `before` to read what was said earlier; none when there is nothing. */
  earlier?: number;
  /** The message that made that task. */
  message?: Message;
  /**
   * What was said since it began (or since the room began), oldest first: the newest page, or the one before `before`. Their
   * texts come to 64 KiB at most; longer ones than 4,000 characters are cut and end with `…`.
   */
  messages: Message[];
  /** Version of the prompts that the brief was made with. */
  promptVersion: string;
  /** The role, in lower case. */
  role: string;
  /** The task that the role holds. An agent is shown the one that was handed to it. */
  task?: Task;
};

/** Names a role of a room. */
export type RoleSlot = {
  /** The room. */
  chatroomId: ChatroomId;
  /** The role; matched without regard to case. */
  role: string;
};

/** A role of a room with what is wanted of its agent and what is. */
export type RoleStatus = {
  /** The agent that holds the role, or else the newest one that has ended. */
  agent?: Agent;
  /** Why it does not work, if so. */
  blocked?: Blocked;
  /** What is wanted; none when nobody ever wanted anything. */
  desired?: Desired;
  /** The role. */
  role: string;
};

/** A rule that answers requests of a room's agents. */
export type Rule = {
  /** What it answers. Of the rules that fit, one that refuses counts. */
  allow: boolean;
  /** The room. */
  chatroomId: ChatroomId;
  /** When it was made. */
  createdAt: UnixMs;
  /** Only this role; every role when absent. */
  role?: string;
  /** Its id. */
  ruleId: RuleId;
  /** Until when it counts; for ever when absent. */
  until?: UnixMs;
} & ({
  match: "kind";
  /** Which kind. */
  toolKind: ToolKind;
} | {
  /** Its words, for example `cargo test`. */
  command: string;
  match: "command";
});

/** A rule that answers permission requests. */
export type RuleId = string;

/** Answer of `messages.send`. */
export type Sent = {
  /** The message. */
  messageId: MessageId;
  /** The role that it went to. */
  role: string;
  /** The task that it made. */
  taskId: TaskId;
};

/** Answer of `auth.createSignInLink`, `users.invite`. */
export type SignInLink = {
  /** When it ends. */
  expiresAt: UnixMs;
  /** The link; works once. */
  url: string;
};

/** Names a role of a room to start. */
export type StartAgent = {
  /** The room. */
  chatroomId: ChatroomId;
  /** Whether an agent of the role on another machine is to be given up: its machine is told to stop it. */
  move?: boolean;
  /** The role; matched without regard to case. */
  role: string;
};

/** Everything that is needed to start an agent. */
export type StartOrder = {
  /** The agent to start; made with the command. */
  agentId: AgentId;
  /** The room. */
  chatroomId: ChatroomId;
  /** The agent's own credential; revokes the one of an earlier claim. */
  credential: string;
  /** Which model. */
  model?: string;
  /** What it may do. */
  permissionMode: PermissionMode;
  /** The brief of the role, made on the server. */
  prompt: string;
  /** Version of the prompt. */
  promptVersion: string;
  /** The tool's own name of the session to take up again, if there is one: of the same role, tool and directory. */
  resume?: string;
  /** The role. */
  role: string;
  /** Which tool. */
  tool: ToolName;
  /** Where. */
  workingDir: string;
};

/** A task as people and agents see it. */
export type Task = {
  /** The agent that holds it, when a started agent does. */
  agentId?: AgentId;
  /** The room. */
  chatroomId: ChatroomId;
  /** Whether the newest hand-over was confirmed by a later call. */
  confirmed: boolean;
  /** Its text. */
  content: string;
  /** When it was made. */
  createdAt: UnixMs;
  /** How often it was handed to somebody: the fence of the newest hand-over. Zero when never. */
  delivery: number;
  /** Who wrote that message: a role, or `user`. */
  fromRole: string;
  /** The message that made it. */
  messageId: MessageId;
  /** For which role. */
  role: string;
  /** Where it stands. */
  state: TaskState;
  /** Its id. */
  taskId: TaskId;
  /** When its state last changed. */
  updatedAt: UnixMs;
};

/** A piece of work addressed to a role. */
export type TaskId = string;

/** The state of a task by name. */
export type TaskState = "pending" | "acknowledged" | "in_progress" | "completed" | "cancelled";

/** How a guarded write to a task ended. */
export type TaskWrite = "applied" | "already_applied";

/** Answer of a write to a task. */
export type TaskWritten = {
  /** The task after it. */
  task: Task;
  /** Whether it took effect now or before. */
  write: TaskWrite;
};

/** A named list of roles with an entry role. */
export type Team = {
  /** The role that gets messages without one. */
  entryRole: string;
  /** For example `duo`. */
  name: string;
  /** In order of rank. */
  roles: TeamRole[];
};

/** One role of a team. */
export type TeamRole = {
  /** Roles (or `user`) that it may hand to. */
  handsTo: string[];
  /** What the role does, in words for the agent. */
  instructions: string;
  /** In lower case. */
  name: string;
  /** For people. */
  title: string;
};

/** Answer of `teams.upsert`. */
export type TeamSaved = {
  /** Whether there was no team of this name before. */
  isNew: boolean;
  /** The team as it was stored: names in lower case, space around them left out. */
  team: Team;
};

/** Answer of `chatrooms.updateTeam`: what happened. */
export type TeamUpdated = {
  /** Roles that the room did not have. */
  addedRoles: string[];
  /** Tasks that were cancelled. */
  cancelledTasks: TaskId[];
  /** The room with its new team. */
  chatroom: Chatroom;
  /** Tasks that now stand in the queue of the entry role. Whoever held one by hand is fenced off. */
  movedTasks: TaskId[];
  /** Roles that the room had and has no more. */
  removedRoles: string[];
  /** Removed roles whose waiter was told to end. */
  supersededWaiters: string[];
};

/** Answer of `auth.createToken`. */
export type TokenCreated = {
  /** Its id, for `auth.revokeCredential`. */
  credentialId: CredentialId;
  /** When it ends. */
  expiresAt: UnixMs;
  /** The secret; shown once. */
  token: string;
};

/** What a user's token may do. */
export type TokenScope = "full" | "read";

/** What kind of deed a tool call is; the words of the Agent Client Protocol. */
export type ToolKind = "read" | "edit" | "delete" | "move" | "search" | "execute" | "think" | "fetch" | "other";

/** The name of a tool: `opencode`, `claude`, `cursor`, `echo`, ... in lower case. */
export type ToolName = string;

/** Names a tool of the machine. */
export type ToolRef = {
  /** Which tool. */
  tool: ToolName;
};

/** What detection found out about one tool, by running it. */
export type ToolReport = {
  /** Whether it can ask its owner for permissions: what the mode `ask` needs. */
  asks?: boolean;
  /** How it is spoken to when it is started as an agent; absent when this machine can only detect it. */
  driver?: DriverKind;
  /** Which tool. */
  name: ToolName;
  /** Absolute path of the program that would be started; absent when the tool is missing. */
  path?: string;
} & ({
  status: "ok";
  /** As printed, for example `1.18.33`. */
  version: string;
} | {
  /** The command that signs in. */
  repair: string;
  status: "not_signed_in";
  /** As printed. */
  version: string;
} | {
  /** What happened when it was run. */
  reason: string;
  /** The command that mends it. */
  repair: string;
  status: "broken";
} | {
  /** The command that installs it. */
  repair: string;
  status: "missing";
});

/** One thing that happened in an agent's session. */
export type TranscriptEvent = {
  /** When, by the machine's clock. */
  at: UnixMs;
  /** Its number: the first event of an agent is 1, and there are no gaps but where events were dropped. */
  seq: number;
} & ({
  /** How the tool is spoken to. */
  driver: DriverKind;
  kind: "session_started";
  /** The model, when the tool tells. */
  model?: string;
  /** The models that the tool offers, when it tells. */
  models?: ModelList;
  /** Whether an earlier session goes on, with its memory. */
  resumed: boolean;
  /** The tool's own name of the session, with which it can be taken up again; absent when it has none. */
  sessionId?: string;
} | {
  kind: "prompt";
  /** By whom, and why. */
  source: PromptSource;
  /** What. */
  text: string;
} | {
  kind: "turn_ended";
  /** More about it, for a person. */
  message?: string;
  /** Why. */
  reason: TurnEnd;
} | {
  kind: "text";
  /** Markdown. */
  text: string;
} | {
  kind: "thought";
  /** Markdown. */
  text: string;
} | {
  /** Names the call among those of the session. */
  callId: string;
  /** The shell command, when it is one. */
  command?: string;
  kind: "tool_call";
  /** The files that it touches. */
  paths?: string[];
  /** For a person. */
  title: string;
  /** What kind of deed it is. */
  toolKind: ToolKind;
} | {
  /** Which call. */
  callId: string;
  /** What it changes in files. */
  diffs?: Diff[];
  kind: "tool_update";
  /** Its output so far, whole; it replaces what was told before. */
  output?: string;
  /** Where it stands, when that changed. */
  status?: CallStatus;
  /** A better title, when there is one. */
  title?: string;
} | {
  kind: "plan";
  /** Its steps. */
  steps: PlanStep[];
} | {
  /** The call that it is about, when there is one. */
  callId?: string;
  /** The shell command, when it is one. */
  command?: string;
  kind: "permission_asked";
  /** What may be answered. */
  options: PermissionOption[];
  /** The files that it touches. */
  paths?: string[];
  /** Names the request among those of the agent. */
  requestId: string;
  /** For a person. */
  title: string;
  /** What kind of deed it is. */
  toolKind: ToolKind;
} | {
  kind: "permission_settled";
  /** How it ended. */
  outcome: PermissionOutcome;
  /** Which request. */
  requestId: string;
} | {
  /** Which try, when the tool counts. */
  attempt?: number;
  kind: "retrying";
  /** What failed, for a person. */
  message: string;
} | {
  kind: "trouble";
  /** What is wrong. */
  trouble: Trouble;
} | {
  kind: "compacted";
} | {
  /** The number of its hand-over. */
  delivery: number;
  kind: "needs_you";
  /** The task. */
  taskId: TaskId;
} | {
  /** Which input. */
  inputId: InputId;
  kind: "input_taken";
} | {
  /** Which input. */
  inputId: InputId;
  kind: "input_refused";
  /** Why, for a person. */
  reason: string;
} | {
  kind: "output";
  /** As written, cut to size. */
  text: string;
} | {
  /** How many. */
  events: number;
  kind: "dropped";
});

/** A page of a transcript. */
export type TranscriptPage = {
  /** The events, in order. */
  events: TranscriptEvent[];
  /** The number of the oldest event that is kept; zero when there is none. */
  firstSeq: number;
  /** The number of the newest event. */
  lastSeq: number;
};

/** What keeps a tool from working. */
export type Trouble = {
  /** Since when, by the machine's clock. */
  at: UnixMs;
  /** Which trouble. */
  kind: TroubleKind;
  /** The tool's words, for a person. */
  message: string;
  /** The command or deed that mends it, when one is known. */
  repair?: string;
};

/** The troubles of a tool. */
export type TroubleKind = "not_signed_in" | "quota" | "unknown_model" | "service_failed" | "silent" | "protocol";

/** Where the turn of a session stands. */
export type Turn = {
  /** Since when, by the machine's clock. */
  since: UnixMs;
  /** The state. */
  state: TurnState;
  /** The task that it is about, when it is about one. */
  taskId?: TaskId;
};

/** Why a turn ended. */
export type TurnEnd = "end_turn" | "cancelled" | "refusal" | "limit" | "error";

/** What a session does. */
export type TurnState = "starting" | "idle" | "working" | "waiting_for_permission" | "needs_you";

/** Milliseconds since 1970-01-01 UTC, by the clock of whoever wrote it. */
export type UnixMs = number;

/** A person who owns machines and chatrooms. */
export type UserId = string;

/** What a claimed command means, in full; made on the server at the claim. */
export type WorkOrder = StartOrder & {
  do: "start";
} | {
  /** Which. */
  agentId: AgentId | null;
  do: "stop";
} | {
  do: "restart";
  /** What to start. */
  start: StartOrder;
  /** Which to stop. */
  stop: AgentId | null;
} | {
  do: "ping";
} | {
  do: "status";
} | {
  do: "list-models";
  /** Which tool. */
  tool: ToolName;
} | {
  do: "check-dir";
  /** Absolute path. */
  path: string;
};

/** Arguments of `agents.appendTranscript`. */
export type AgentsAppendTranscriptArgs = {
  /** Which agent. */
  agentId: string;
  /** The next events, in order: at most 500 and 1 MiB. None: only ask how far the server has come. */
  events: ({
    /** When, by the machine's clock. */
    at: number;
    /** Its number: the first event of an agent is 1, and there are no gaps but where events were dropped. */
    seq: number;
  } & ({
    /** How the tool is spoken to. */
    driver: "acp" | "claude" | "one-shot";
    kind: "session_started";
    /** The model, when the tool tells. */
    model?: string | null;
    /** The models that the tool offers, when it tells. */
    models?: {
      /** The one that is used when none is chosen, when the tool tells. */
      default?: string | null;
      /** Whether there are no others: then a name that is not in the list is refused. */
      isComplete: boolean;
      /** The models. */
      models: {
        /** The tool's name of it: what a config says. */
        id: string;
        /** For a person. */
        name: string;
      }[];
    } | null;
    /** Whether an earlier session goes on, with its memory. */
    resumed: boolean;
    /** The tool's own name of the session, with which it can be taken up again; absent when it has none. */
    sessionId?: string | null;
  } | {
    kind: "prompt";
    /** By whom, and why. */
    source: {
      by: "task";
      /** The number of the hand-over. */
      delivery: number;
      /** Which. */
      taskId: string;
    } | {
      by: "reminder";
      /** The number of the hand-over. */
      delivery: number;
      /** Which. */
      taskId: string;
    } | {
      by: "person";
      /** Which input. */
      inputId: string;
    };
    /** What. */
    text: string;
  } | {
    kind: "turn_ended";
    /** More about it, for a person. */
    message?: string | null;
    /** Why. */
    reason: "end_turn" | "cancelled" | "refusal" | "limit" | "error";
  } | {
    kind: "text";
    /** Markdown. */
    text: string;
  } | {
    kind: "thought";
    /** Markdown. */
    text: string;
  } | {
    /** Names the call among those of the session. */
    callId: string;
    /** The shell command, when it is one. */
    command?: string | null;
    kind: "tool_call";
    /** The files that it touches. */
    paths?: string[];
    /** For a person. */
    title: string;
    /** What kind of deed it is. */
    toolKind: "read" | "edit" | "delete" | "move" | "search" | "execute" | "think" | "fetch" | "other";
  } | {
    /** Which call. */
    callId: string;
    /** What it changes in files. */
    diffs?: {
      /** What stands there then. */
      newText: string;
      /** What stood there; absent for a new file. */
      oldText?: string | null;
      /** The file. */
      path: string;
    }[];
    kind: "tool_update";
    /** Its output so far, whole; it replaces what was told before. */
    output?: string | null;
    /** Where it stands, when that changed. */
    status?: "pending" | "in_progress" | "completed" | "failed" | null;
    /** A better title, when there is one. */
    title?: string | null;
  } | {
    kind: "plan";
    /** Its steps. */
    steps: {
      /** What is to be done. */
      content: string;
      /** Where it stands. */
      status: "pending" | "in_progress" | "completed" | "failed";
    }[];
  } | {
    /** The call that it is about, when there is one. */
    callId?: string | null;
    /** The shell command, when it is one. */
    command?: string | null;
    kind: "permission_asked";
    /** What may be answered. */
    options: {
      /** What it means. Options are chosen by this, never by name or place. */
      kind: "allow_once" | "allow_always" | "reject_once" | "reject_always";
      /** For a person. */
      name: string;
      /** The tool's name of it; means nothing to us. */
      optionId: string;
    }[];
    /** The files that it touches. */
    paths?: string[];
    /** Names the request among those of the agent. */
    requestId: string;
    /** For a person. */
    title: string;
    /** What kind of deed it is. */
    toolKind: "read" | "edit" | "delete" | "move" | "search" | "execute" | "think" | "fetch" | "other";
  } | {
    kind: "permission_settled";
    /** How it ended. */
    outcome: {
      /** Who answered. */
      by: "mode" | "rule" | "person" | "expiry";
      /** What the answer means. */
      choice: "allow_once" | "allow_always" | "reject_once" | "reject_always";
      how: "selected";
    } | {
      how: "withdrawn";
    };
    /** Which request. */
    requestId: string;
  } | {
    /** Which try, when the tool counts. */
    attempt?: number | null;
    kind: "retrying";
    /** What failed, for a person. */
    message: string;
  } | {
    kind: "trouble";
    /** What is wrong. */
    trouble: {
      /** Since when, by the machine's clock. */
      at: number;
      /** Which trouble. */
      kind: "not_signed_in" | "quota" | "unknown_model" | "service_failed" | "silent" | "protocol";
      /** The tool's words, for a person. */
      message: string;
      /** The command or deed that mends it, when one is known. */
      repair?: string | null;
    };
  } | {
    kind: "compacted";
  } | {
    /** The number of its hand-over. */
    delivery: number;
    kind: "needs_you";
    /** The task. */
    taskId: string;
  } | {
    /** Which input. */
    inputId: string;
    kind: "input_taken";
  } | {
    /** Which input. */
    inputId: string;
    kind: "input_refused";
    /** Why, for a person. */
    reason: string;
  } | {
    kind: "output";
    /** As written, cut to size. */
    text: string;
  } | {
    /** How many. */
    events: number;
    kind: "dropped";
  }))[];
  /** Names this call: repeated with the same key and arguments it takes effect once, and the answer is the first one. With other arguments it is refused. */
  idempotencyKey?: string;
  /** The machine. */
  machineId: string;
};

/** Arguments of `agents.cancelTurn`. */
export type AgentsCancelTurnArgs = {
  /** Which agent. */
  agentId: string;
  /** Names this call: repeated with the same key and arguments it takes effect once, and the answer is the first one. With other arguments it is refused. */
  idempotencyKey?: string;
};

/** Arguments of `agents.get`. */
export type AgentsGetArgs = {
  /** Which agent. */
  agentId: string;
};

/** Arguments of `agents.getInbox`. */
export type AgentsGetInboxArgs = {
  /** The session's epoch. */
  epoch: number;
  /** The machine. */
  machineId: string;
};

/** Arguments of `agents.list`. */
export type AgentsListArgs = {
  /** Only of this room. */
  chatroomId?: string | null;
  /** Ended ones too (the newest 200 in all). */
  includeEnded?: boolean;
  /** Only on this machine. */
  machineId?: string | null;
};

/** Arguments of `agents.listInputs`. */
export type AgentsListInputsArgs = {
  /** Which agent. */
  agentId: string;
};

/** Arguments of `agents.listRoles`. */
export type AgentsListRolesArgs = {
  /** The room. */
  chatroomId: string;
};

/** Arguments of `agents.reportExited`. */
export type AgentsReportExitedArgs = {
  /** The agents that ended (reports of running ones are ignored). */
  agents: ({
    /** Which agent. */
    agentId: string;
  } & ({
    fact: "running";
    /** Process id of the tool. */
    pid: number;
    /** When it was started, by the machine's clock. */
    startedAt: number;
  } | {
    /** How. */
    exit: {
      /** Exit code. */
      code: number;
      how: "code";
    } | {
      how: "signal";
      /** Signal number. */
      signal: number;
    } | {
      how: "stopped";
    } | {
      how: "shut_down";
    } | {
      how: "unusable";
      /** Why, and what to do. */
      trouble: {
        /** Since when, by the machine's clock. */
        at: number;
        /** Which trouble. */
        kind: "not_signed_in" | "quota" | "unknown_model" | "service_failed" | "silent" | "protocol";
        /** The tool's words, for a person. */
        message: string;
        /** The command or deed that mends it, when one is known. */
        repair?: string | null;
      };
    } | {
      how: "lost";
    };
    /** When, by the machine's clock. */
    exitedAt: number;
    fact: "exited";
  }))[];
  /** Names this call: repeated with the same key and arguments it takes effect once, and the answer is the first one. With other arguments it is refused. */
  idempotencyKey?: string;
  /** The machine. */
  machineId: string;
};

/** Arguments of `agents.send`. */
export type AgentsSendArgs = {
  /** To which agent. */
  agentId: string;
  /** Names this call: repeated with the same key and arguments it takes effect once, and the answer is the first one. With other arguments it is refused. */
  idempotencyKey?: string;
  /** What: 1 to 100,000 characters. */
  text: string;
};

/** Arguments of `agents.transcript`. */
export type AgentsTranscriptArgs = {
  /** Events after this number, the oldest of them. */
  after?: number | null;
  /** Which agent. */
  agentId: string;
  /** Events before this number, the newest of them. With neither, the newest of all. */
  before?: number | null;
  /** How many at most: 1 to 500, by default 100. A page ends sooner at 512 KiB. */
  limit?: number | null;
};

/** Arguments of `agents.why`. */
export type AgentsWhyArgs = {
  /** The room. */
  chatroomId: string;
  /** The role; matched without regard to case. */
  role: string;
};

/** Arguments of `artifacts.get`. */
export type ArtifactsGetArgs = {
  /** The room. */
  chatroomId: string;
  /** Its name. */
  name: string;
  /** Its version; the newest one when absent. */
  version?: number | null;
};

/** Arguments of `artifacts.list`. */
export type ArtifactsListArgs = {
  /** The room. */
  chatroomId: string;
};

/** Arguments of `artifacts.put`. */
export type ArtifactsPutArgs = {
  /** The room. */
  chatroomId: string;
  /** The text: at most 262,144 bytes. */
  content: string;
  /** Names this call: repeated with the same key and arguments it takes effect once, and the answer is the first one. With other arguments it is refused. */
  idempotencyKey?: string;
  /** 4 to 100 characters of a-z, A-Z, 0-9, `.`, `_` and `-`, with `.md` at the end and no dot at the beginning. */
  name: string;
  /** Who writes: a role of the team; when absent, an agent's own role, or `user`. */
  role?: string | null;
};

/** Arguments of `artifacts.remove`. */
export type ArtifactsRemoveArgs = {
  /** The room. */
  chatroomId: string;
  /** Names this call: repeated with the same key and arguments it takes effect once, and the answer is the first one. With other arguments it is refused. */
  idempotencyKey?: string;
  /** Its name. */
  name: string;
};

/** Arguments of `auth.approveDeviceLogin`. */
export type AuthApproveDeviceLoginArgs = {
  /** Names this call: repeated with the same key and arguments it takes effect once, and the answer is the first one. With other arguments it is refused. */
  idempotencyKey?: string;
  /** As shown; case, spaces and the dash do not matter. */
  userCode: string;
};

/** Arguments of `auth.createSignInLink`. */
export type AuthCreateSignInLinkArgs = Record<string, never>;

/** Arguments of `auth.createToken`. */
export type AuthCreateTokenArgs = {
  /** How long it lives, in milliseconds: from one minute to one year. */
  expiresInMs: number;
  /** What it is for. At most 200 characters. */
  name: string;
  /** What it may do. */
  scope?: "full" | "read";
};

/** Arguments of `auth.denyDeviceLogin`. */
export type AuthDenyDeviceLoginArgs = {
  /** Names this call: repeated with the same key and arguments it takes effect once, and the answer is the first one. With other arguments it is refused. */
  idempotencyKey?: string;
  /** As shown; case, spaces and the dash do not matter. */
  userCode: string;
};

/** Arguments of `auth.getDeviceLogin`. */
export type AuthGetDeviceLoginArgs = {
  /** As shown; case, spaces and the dash do not matter. */
  userCode: string;
};

/** Arguments of `auth.listCredentials`. */
export type AuthListCredentialsArgs = Record<string, never>;

/** Arguments of `auth.logout`. */
export type AuthLogoutArgs = {
  /** Names this call: repeated with the same key and arguments it takes effect once, and the answer is the first one. With other arguments it is refused. */
  idempotencyKey?: string;
};

/** Arguments of `auth.pollDeviceLogin`. */
export type AuthPollDeviceLoginArgs = {
  /** From `auth.startDeviceLogin`. */
  deviceCode: string;
};

/** Arguments of `auth.revokeCredential`. */
export type AuthRevokeCredentialArgs = {
  /** Which. */
  credentialId: string;
  /** Names this call: repeated with the same key and arguments it takes effect once, and the answer is the first one. With other arguments it is refused. */
  idempotencyKey?: string;
};

/** Arguments of `auth.startDeviceLogin`. */
export type AuthStartDeviceLoginArgs = {
  /** What asks: the machine's hostname, shown to the person who approves. At most 200 characters. */
  machineName: string;
};

/** Arguments of `auth.whoami`. */
export type AuthWhoamiArgs = Record<string, never>;

/** Arguments of `backlog.add`. */
export type BacklogAddArgs = {
  /** The room. */
  chatroomId: string;
  /** 1 to 10,000 characters. */
  content: string;
  /** Names this call: repeated with the same key and arguments it takes effect once, and the answer is the first one. With other arguments it is refused. */
  idempotencyKey?: string;
  /** Who adds it: a role of the team; when absent, an agent's own role, or `user`. */
  role?: string | null;
};

/** Arguments of `backlog.complete`. */
export type BacklogCompleteArgs = {
  /** The room. */
  chatroomId: string;
  /** Names this call: repeated with the same key and arguments it takes effect once, and the answer is the first one. With other arguments it is refused. */
  idempotencyKey?: string;
  /** The item. */
  itemId: string;
  /** Who acts: a role of the team; when absent, an agent's own role, or `user`. */
  role?: string | null;
};

/** Arguments of `backlog.list`. */
export type BacklogListArgs = {
  /** The room. */
  chatroomId: string;
  /** Only in this state (of completed ones, the newest 200). */
  state?: "open" | "started" | "completed" | null;
};

/** Arguments of `backlog.remove`. */
export type BacklogRemoveArgs = {
  /** The room. */
  chatroomId: string;
  /** Names this call: repeated with the same key and arguments it takes effect once, and the answer is the first one. With other arguments it is refused. */
  idempotencyKey?: string;
  /** The item. */
  itemId: string;
};

/** Arguments of `backlog.start`. */
export type BacklogStartArgs = {
  /** The room. */
  chatroomId: string;
  /** Names this call: repeated with the same key and arguments it takes effect once, and the answer is the first one. With other arguments it is refused. */
  idempotencyKey?: string;
  /** The item. */
  itemId: string;
  /** Who starts it: a role of the team; when absent, an agent's own role, or `user`. */
  role?: string | null;
  /** Which role is to do it; the entry role when absent. A role may give it to where it hands to. */
  targetRole?: string | null;
};

/** Arguments of `chatrooms.archive`. */
export type ChatroomsArchiveArgs = {
  /** The room. */
  chatroomId: string;
  /** Names this call: repeated with the same key and arguments it takes effect once, and the answer is the first one. With other arguments it is refused. */
  idempotencyKey?: string;
};

/** Arguments of `chatrooms.create`. */
export type ChatroomsCreateArgs = {
  /** Names this call: repeated with the same key and arguments it takes effect once, and the answer is the first one. With other arguments it is refused. */
  idempotencyKey?: string;
  /** 1 to 100 characters. */
  name: string;
  /** The name of a team. */
  team: string;
};

/** Arguments of `chatrooms.get`. */
export type ChatroomsGetArgs = {
  /** The room. */
  chatroomId: string;
};

/** Arguments of `chatrooms.list`. */
export type ChatroomsListArgs = Record<string, never>;

/** Arguments of `chatrooms.updateTeam`. */
export type ChatroomsUpdateTeamArgs = {
  /** The room. */
  chatroomId: string;
  /** Names this call: repeated with the same key and arguments it takes effect once, and the answer is the first one. With other arguments it is refused. */
  idempotencyKey?: string;
  /** What becomes of open tasks of roles that the new team does not have. Needed only when there are such tasks. */
  removedRoleTasks?: "move" | "cancel" | null;
  /** The name of a team. */
  team: string;
};

/** Arguments of `contexts.create`. */
export type ContextsCreateArgs = {
  /** The room. */
  chatroomId: string;
  /** What one must know: 1 to 20,000 characters. */
  content: string;
  /** Names this call: repeated with the same key and arguments it takes effect once, and the answer is the first one. With other arguments it is refused. */
  idempotencyKey?: string;
  /** Who begins it: a role of the team; when absent, an agent's own role, or `user`. */
  role?: string | null;
  /** What it is about: 1 to 100 characters in one line. */
  title: string;
};

/** Arguments of `contexts.list`. */
export type ContextsListArgs = {
  /** The room. */
  chatroomId: string;
};

/** Arguments of `contexts.read`. */
export type ContextsReadArgs = {
  /** Only messages before this sequence number: `earlier` of an answer before. */
  before?: number | null;
  /** The room. */
  chatroomId: string;
  /** How many messages at most: 1 to 100, by default 30. */
  limit?: number | null;
  /** The machine whose CLI path the commands name; plain `chatroom` when absent. */
  machineId?: string | null;
  /** The role that reads. */
  role: string;
};

/** Arguments of `machines.ackCommand`. */
export type MachinesAckCommandArgs = {
  /** Which command. */
  commandId: string;
  /** The session's epoch. */
  epoch: number;
  /** The machine. */
  machineId: string;
} & ({
  status: "processing";
} | {
  /** What came of it. */
  result: {
    /** Which agent. */
    agentId: string;
    kind: "started";
    /** Its process id on the machine. */
    pid: number;
  } | {
    /** Which agent. */
    agentId: string;
    /** How it ended. */
    exit: {
      /** Exit code. */
      code: number;
      how: "code";
    } | {
      how: "signal";
      /** Signal number. */
      signal: number;
    } | {
      how: "stopped";
    } | {
      how: "shut_down";
    } | {
      how: "unusable";
      /** Why, and what to do. */
      trouble: {
        /** Since when, by the machine's clock. */
        at: number;
        /** Which trouble. */
        kind: "not_signed_in" | "quota" | "unknown_model" | "service_failed" | "silent" | "protocol";
        /** The tool's words, for a person. */
        message: string;
        /** The command or deed that mends it, when one is known. */
        repair?: string | null;
      };
    } | {
      how: "lost";
    };
    kind: "started_then_exited";
  } | {
    /** Which agent. */
    agentId: string;
    kind: "started_then_lost";
  } | {
    /** Which agent. */
    agentId: string;
    kind: "already_running";
  } | {
    /** Which agent. */
    agentId: string;
    /** How it ended. */
    exit: {
      /** Exit code. */
      code: number;
      how: "code";
    } | {
      how: "signal";
      /** Signal number. */
      signal: number;
    } | {
      how: "stopped";
    } | {
      how: "shut_down";
    } | {
      how: "unusable";
      /** Why, and what to do. */
      trouble: {
        /** Since when, by the machine's clock. */
        at: number;
        /** Which trouble. */
        kind: "not_signed_in" | "quota" | "unknown_model" | "service_failed" | "silent" | "protocol";
        /** The tool's words, for a person. */
        message: string;
        /** The command or deed that mends it, when one is known. */
        repair?: string | null;
      };
    } | {
      how: "lost";
    };
    kind: "stopped";
  } | {
    kind: "not_running";
  } | {
    kind: "pong";
  } | {
    /** Agents that run under it. */
    agents: string[];
    /** CLI version of the running daemon. */
    cliVersion: string;
    /** Hostname. */
    hostname: string;
    kind: "status";
    /** Process id of the daemon. */
    pid: number;
  } | {
    /** The one that is used when none is chosen, when the tool tells. */
    default?: string | null;
    /** Whether there are no others: then a name that is not in the list is refused. */
    isComplete: boolean;
    kind: "models";
    /** The models. */
    models: {
      /** The tool's name of it: what a config says. */
      id: string;
      /** For a person. */
      name: string;
    }[];
  } | {
    kind: "dir_is_usable";
    /** The directory with every link resolved. */
    path: string;
  };
  status: "completed";
} | {
  /** Why. */
  failure: {
    /** Which failure. */
    code: "expired" | "cancelled" | "tool_missing" | "working_dir_missing" | "working_dir_denied" | "spawn_failed" | "exited_at_once" | "storage_failed" | "stop_failed" | "not_signed_in" | "internal" | "unsupported" | "outcome_unknown" | "machine_removed";
    /** What to do about it. */
    hint?: string | null;
    /** What happened, for a person. */
    message: string;
  };
  status: "failed";
});

/** Arguments of `machines.cancelCommand`. */
export type MachinesCancelCommandArgs = {
  /** Which command. */
  commandId: string;
  /** Names this call: repeated with the same key and arguments it takes effect once, and the answer is the first one. With other arguments it is refused. */
  idempotencyKey?: string;
};

/** Arguments of `machines.getAgentConfigs`. */
export type MachinesGetAgentConfigsArgs = {
  /** The room. */
  chatroomId: string;
};

/** Arguments of `machines.getCommand`. */
export type MachinesGetCommandArgs = {
  /** Which command. */
  commandId: string;
};

/** Arguments of `machines.getPendingCommands`. */
export type MachinesGetPendingCommandsArgs = {
  /** The session's epoch. */
  epoch: number;
  /** The machine. */
  machineId: string;
};

/** Arguments of `machines.listCommands`. */
export type MachinesListCommandsArgs = {
  /** How many at most: 1 to 200, by default 50. */
  limit?: number | null;
  /** The machine. */
  machineId: string;
};

/** Arguments of `machines.listMachines`. */
export type MachinesListMachinesArgs = Record<string, never>;

/** Arguments of `machines.openDaemonSession`. */
export type MachinesOpenDaemonSessionArgs = {
  /** Every agent that the daemon knows of: running ones, and ended ones whose end was not yet recorded. */
  agents: ({
    /** Which agent. */
    agentId: string;
  } & ({
    fact: "running";
    /** Process id of the tool. */
    pid: number;
    /** When it was started, by the machine's clock. */
    startedAt: number;
  } | {
    /** How. */
    exit: {
      /** Exit code. */
      code: number;
      how: "code";
    } | {
      how: "signal";
      /** Signal number. */
      signal: number;
    } | {
      how: "stopped";
    } | {
      how: "shut_down";
    } | {
      how: "unusable";
      /** Why, and what to do. */
      trouble: {
        /** Since when, by the machine's clock. */
        at: number;
        /** Which trouble. */
        kind: "not_signed_in" | "quota" | "unknown_model" | "service_failed" | "silent" | "protocol";
        /** The tool's words, for a person. */
        message: string;
        /** The command or deed that mends it, when one is known. */
        repair?: string | null;
      };
    } | {
      how: "lost";
    };
    /** When, by the machine's clock. */
    exitedAt: number;
    fact: "exited";
  }))[];
  /** This life of the machine's kernel: agents of another boot are gone. */
  bootId: string;
  /** Names this call: repeated with the same key and arguments it takes effect once, and the answer is the first one. With other arguments it is refused. */
  idempotencyKey?: string;
  /** The machine. */
  machineId: string;
  /** This life of the daemon process. */
  sessionId: string;
};

/** Arguments of `machines.register`. */
export type MachinesRegisterArgs = {
  /** `x86_64`, `aarch64`, ... */
  arch: string;
  /** What detection found, missing tools included. At most 64. */
  availableTools: ({
    /** Whether it can ask its owner for permissions: what the mode `ask` needs. */
    asks?: boolean;
    /** How it is spoken to when it is started as an agent; absent when this machine can only detect it. */
    driver?: "acp" | "claude" | "one-shot" | null;
    /** Which tool. */
    name: string;
    /** Absolute path of the program that would be started; absent when the tool is missing. */
    path?: string | null;
  } & ({
    status: "ok";
    /** As printed, for example `1.18.33`. */
    version: string;
  } | {
    /** The command that signs in. */
    repair: string;
    status: "not_signed_in";
    /** As printed. */
    version: string;
  } | {
    /** What happened when it was run. */
    reason: string;
    /** The command that mends it. */
    repair: string;
    status: "broken";
  } | {
    /** The command that installs it. */
    repair: string;
    status: "missing";
  }))[];
  /** Absolute path of the CLI. */
  cliPath: string;
  /** Version of the CLI. */
  cliVersion: string;
  /** At most 255 characters. */
  hostname: string;
  /** Whether to mint a machine credential; revokes the one before. */
  issueCredential?: boolean;
  /** The machine's own id, a UUID. */
  machineId: string;
  /** `linux`, `macos`, ... */
  os: string;
};

/** Arguments of `machines.remove`. */
export type MachinesRemoveArgs = {
  /** Names this call: repeated with the same key and arguments it takes effect once, and the answer is the first one. With other arguments it is refused. */
  idempotencyKey?: string;
  /** The machine. */
  machineId: string;
};

/** Arguments of `machines.rename`. */
export type MachinesRenameArgs = {
  /** Names this call: repeated with the same key and arguments it takes effect once, and the answer is the first one. With other arguments it is refused. */
  idempotencyKey?: string;
  /** The machine. */
  machineId: string;
  /** 1 to 100 characters. */
  name: string;
};

/** Arguments of `machines.sendCommand`. */
export type MachinesSendCommandArgs = {
  /** Within how many milliseconds it must be begun: 1 second to 7 days. By default what fits the type. */
  deadlineMs?: number | null;
  /** Names this call: repeated with the same key and arguments it takes effect once, and the answer is the first one. With other arguments it is refused. */
  idempotencyKey?: string;
  /** To which machine. */
  machineId: string;
} & ({
  /** Names a role of a room to start. */
  payload: {
    /** The room. */
    chatroomId: string;
    /** Whether an agent of the role on another machine is to be given up: its machine is told to stop it. */
    move?: boolean;
    /** The role; matched without regard to case. */
    role: string;
  };
  type: "start-agent";
} | {
  /** Names a role of a room. */
  payload: {
    /** The room. */
    chatroomId: string;
    /** The role; matched without regard to case. */
    role: string;
  };
  type: "stop-agent";
} | {
  /** Names a role of a room. */
  payload: {
    /** The room. */
    chatroomId: string;
    /** The role; matched without regard to case. */
    role: string;
  };
  type: "restart-agent";
} | {
  /** A payload without fields; other fields are refused. */
  payload: Record<string, never>;
  type: "ping";
} | {
  /** A payload without fields; other fields are refused. */
  payload: Record<string, never>;
  type: "status";
} | {
  /** Names a tool of the machine. */
  payload: {
    /** Which tool. */
    tool: string;
  };
  type: "list-models";
} | {
  /** Names a directory of the machine. */
  payload: {
    /** Absolute path, without NUL, at most 4096 bytes. */
    path: string;
  };
  type: "check-dir";
});

/** Arguments of `machines.updateAgentConfig`. */
export type MachinesUpdateAgentConfigArgs = {
  /** The room. */
  chatroomId: string;
  /** Names this call: repeated with the same key and arguments it takes effect once, and the answer is the first one. With other arguments it is refused. */
  idempotencyKey?: string;
  /** The machine. */
  machineId: string;
  /** Which model; an empty text means the tool's default. */
  model?: string | null;
  /** What the agent may do without asking. */
  permissionMode?: "ask" | "accept-edits" | "full" | null;
  /** A role of the room's team. */
  role: string;
  /** Whether a task that comes for the role starts its agent. */
  startOnTask?: boolean | null;
  /** Which tool. */
  tool?: string | null;
  /** Absolute path on the machine, without NUL, at most 4096 bytes. */
  workingDir?: string | null;
};

/** Arguments of `machines.updateDaemonStatus`. */
export type MachinesUpdateDaemonStatusArgs = {
  /** Every agent that the daemon knows of. */
  agents: ({
    /** Which agent. */
    agentId: string;
  } & ({
    fact: "running";
    /** Process id of the tool. */
    pid: number;
    /** When it was started, by the machine's clock. */
    startedAt: number;
  } | {
    /** How. */
    exit: {
      /** Exit code. */
      code: number;
      how: "code";
    } | {
      how: "signal";
      /** Signal number. */
      signal: number;
    } | {
      how: "stopped";
    } | {
      how: "shut_down";
    } | {
      how: "unusable";
      /** Why, and what to do. */
      trouble: {
        /** Since when, by the machine's clock. */
        at: number;
        /** Which trouble. */
        kind: "not_signed_in" | "quota" | "unknown_model" | "service_failed" | "silent" | "protocol";
        /** The tool's words, for a person. */
        message: string;
        /** The command or deed that mends it, when one is known. */
        repair?: string | null;
      };
    } | {
      how: "lost";
    };
    /** When, by the machine's clock. */
    exitedAt: number;
    fact: "exited";
  }))[];
  /** The session's epoch. */
  epoch: number;
  /** Names this call: repeated with the same key and arguments it takes effect once, and the answer is the first one. With other arguments it is refused. */
  idempotencyKey?: string;
  /** The machine. */
  machineId: string;
};

/** Arguments of `messages.getInitPrompt`. */
export type MessagesGetInitPromptArgs = {
  /** The room. */
  chatroomId: string;
  /** The machine whose CLI path the commands name; plain `chatroom` when absent. */
  machineId?: string | null;
  /** A role of its team. */
  role: string;
};

/** Arguments of `messages.list`. */
export type MessagesListArgs = {
  /** Only messages after this sequence number. */
  after?: number | null;
  /** Only messages before this sequence number: the newest of them. Not together with `after`. */
  before?: number | null;
  /** The room. */
  chatroomId: string;
  /**
   * How many at most: 1 to 200, by default 50. An answer ends earlier when its texts come to 1 MiB; whoever reads on does so
   * until an answer is empty.
   */
  limit?: number | null;
};

/** Arguments of `messages.markSeen`. */
export type MessagesMarkSeenArgs = {
  /** The room. */
  chatroomId: string;
  /** Names this call: repeated with the same key and arguments it takes effect once, and the answer is the first one. With other arguments it is refused. */
  idempotencyKey?: string;
  /** The sequence number of the newest message that was seen. */
  upTo: number;
};

/** Arguments of `messages.reportProgress`. */
export type MessagesReportProgressArgs = {
  /** The room. */
  chatroomId: string;
  /** 1 to 10,000 characters; at most 200 notes go with one task. */
  content: string;
  /** The number of the hand-over, as printed with the task. */
  delivery: number;
  /** Names this call: repeated with the same key and arguments it takes effect once, and the answer is the first one. With other arguments it is refused. */
  idempotencyKey?: string;
  /** One's own role. */
  role: string;
  /** One's own task. */
  taskId: string;
};

/** Arguments of `messages.send`. */
export type MessagesSendArgs = {
  /** Artifacts of the room that go with it; at most 20. */
  artifacts?: {
    /** Its name. */
    name: string;
    /** Its version; the newest one when absent. */
    version?: number | null;
  }[];
  /** The room. */
  chatroomId: string;
  /** 1 to 100,000 characters. */
  content: string;
  /** Names this call: repeated with the same key and arguments it takes effect once, and the answer is the first one. With other arguments it is refused. */
  idempotencyKey?: string;
  /** To which role; the entry role when absent. */
  role?: string | null;
};

/** Arguments of `participants.join`. */
export type ParticipantsJoinArgs = {
  /** The room. */
  chatroomId: string;
  /** Names this call: repeated with the same key and arguments it takes effect once, and the answer is the first one. With other arguments it is refused. */
  idempotencyKey?: string;
  /** The machine that it runs on; its CLI path is named in what is printed. */
  machineId?: string | null;
  /** A role of its team. */
  role: string;
  /** The waiting process. */
  waiterId: string;
};

/** Arguments of `participants.list`. */
export type ParticipantsListArgs = {
  /** The room. */
  chatroomId: string;
};

/** Arguments of `permissions.addRule`. */
export type PermissionsAddRuleArgs = {
  /** What it answers. */
  allow: boolean;
  /** The room. */
  chatroomId: string;
  /** Names this call: repeated with the same key and arguments it takes effect once, and the answer is the first one. With other arguments it is refused. */
  idempotencyKey?: string;
  /** Only this role; every role when absent. */
  role?: string | null;
  /** Until when it counts; for ever when absent. */
  until?: number | null;
} & ({
  match: "kind";
  /** Which kind. */
  toolKind: "read" | "edit" | "delete" | "move" | "search" | "execute" | "think" | "fetch" | "other";
} | {
  /** Its words, for example `cargo test`. */
  command: string;
  match: "command";
});

/** Arguments of `permissions.answer`. */
export type PermissionsAnswerArgs = {
  /** What to answer. What the request does not offer becomes the nearest narrower answer; a yes that it does not offer is refused. */
  choice: "allow_once" | "allow_always" | "reject_once" | "reject_always";
  /** Names this call: repeated with the same key and arguments it takes effect once, and the answer is the first one. With other arguments it is refused. */
  idempotencyKey?: string;
  /** Which request. */
  permissionId: string;
};

/** Arguments of `permissions.list`. */
export type PermissionsListArgs = {
  /** Only of this agent. */
  agentId?: string | null;
  /** Only of this room. */
  chatroomId?: string | null;
  /** Those that have their end too. */
  includeEnded?: boolean;
};

/** Arguments of `permissions.listRules`. */
export type PermissionsListRulesArgs = {
  /** The room. */
  chatroomId: string;
};

/** Arguments of `permissions.removeRule`. */
export type PermissionsRemoveRuleArgs = {
  /** Names this call: repeated with the same key and arguments it takes effect once, and the answer is the first one. With other arguments it is refused. */
  idempotencyKey?: string;
  /** Which rule. */
  ruleId: string;
};

/** Arguments of `tasks.cancel`. */
export type TasksCancelArgs = {
  /** Names this call: repeated with the same key and arguments it takes effect once, and the answer is the first one. With other arguments it is refused. */
  idempotencyKey?: string;
  /** The task. */
  taskId: string;
};

/** Arguments of `tasks.claim`. */
export type TasksClaimArgs = {
  /** The room. */
  chatroomId: string;
  /** Names this call: repeated with the same key and arguments it takes effect once, and the answer is the first one. With other arguments it is refused. */
  idempotencyKey?: string;
  /** Whether it is said into a live session, which does not wait by itself: the brief then says so, and a reminder comes with it. */
  live?: boolean;
  /** The role. */
  role: string;
  /** From `tasks.getNextTask`. */
  taskId: string;
  /** The waiting process. */
  waiterId: string;
};

/** Arguments of `tasks.complete`. */
export type TasksCompleteArgs = {
  /** The room. */
  chatroomId: string;
  /** The number of the hand-over, as printed with the task. */
  delivery: number;
  /** Names this call: repeated with the same key and arguments it takes effect once, and the answer is the first one. With other arguments it is refused. */
  idempotencyKey?: string;
  /** The role. */
  role: string;
  /** The task. */
  taskId: string;
};

/** Arguments of `tasks.confirm`. */
export type TasksConfirmArgs = {
  /** The room. */
  chatroomId: string;
  /** Names this call: repeated with the same key and arguments it takes effect once, and the answer is the first one. With other arguments it is refused. */
  idempotencyKey?: string;
  /** The role. */
  role: string;
};

/** Arguments of `tasks.getHeld`. */
export type TasksGetHeldArgs = {
  /** The agent. */
  agentId: string;
  /** Its room. */
  chatroomId: string;
  /** The machine. */
  machineId: string;
};

/** Arguments of `tasks.getNextTask`. */
export type TasksGetNextTaskArgs = {
  /** The room. */
  chatroomId: string;
  /** The role. */
  role: string;
  /** The waiting process. */
  waiterId: string;
};

/** Arguments of `tasks.giveBack`. */
export type TasksGiveBackArgs = {
  /** The room. */
  chatroomId: string;
  /** The number of the hand-over, as printed with the task. */
  delivery: number;
  /** Names this call: repeated with the same key and arguments it takes effect once, and the answer is the first one. With other arguments it is refused. */
  idempotencyKey?: string;
  /** The role. */
  role: string;
  /** The task. */
  taskId: string;
};

/** Arguments of `tasks.handoff`. */
export type TasksHandoffArgs = {
  /** Artifacts of the room that go with it; at most 20. */
  artifacts?: {
    /** Its name. */
    name: string;
    /** Its version; the newest one when absent. */
    version?: number | null;
  }[];
  /** The room. */
  chatroomId: string;
  /** The message: 1 to 100,000 characters. */
  content: string;
  /** The number of the hand-over, as printed with the task. */
  delivery: number;
  /** Names this call: repeated with the same key and arguments it takes effect once, and the answer is the first one. With other arguments it is refused. */
  idempotencyKey?: string;
  /** The role to hand to, or `user`. */
  nextRole: string;
  /** One's own role. */
  role: string;
  /** One's own task. */
  taskId: string;
};

/** Arguments of `tasks.list`. */
export type TasksListArgs = {
  /** The room. */
  chatroomId: string;
  /** Only of this role. */
  role?: string | null;
  /** Only in this state; by default every state that is not an end. */
  state?: "pending" | "acknowledged" | "in_progress" | "completed" | "cancelled" | null;
};

/** Arguments of `tasks.requeue`. */
export type TasksRequeueArgs = {
  /** Names this call: repeated with the same key and arguments it takes effect once, and the answer is the first one. With other arguments it is refused. */
  idempotencyKey?: string;
  /** The task. */
  taskId: string;
};

/** Arguments of `tasks.start`. */
export type TasksStartArgs = {
  /** The room. */
  chatroomId: string;
  /** The number of the hand-over, as printed with the task. */
  delivery: number;
  /** Names this call: repeated with the same key and arguments it takes effect once, and the answer is the first one. With other arguments it is refused. */
  idempotencyKey?: string;
  /** The role. */
  role: string;
  /** The task. */
  taskId: string;
};

/** Arguments of `teams.get`. */
export type TeamsGetArgs = {
  /** Its name. */
  name: string;
};

/** Arguments of `teams.list`. */
export type TeamsListArgs = Record<string, never>;

/** Arguments of `teams.remove`. */
export type TeamsRemoveArgs = {
  /** Names this call: repeated with the same key and arguments it takes effect once, and the answer is the first one. With other arguments it is refused. */
  idempotencyKey?: string;
  /** Its name. */
  name: string;
};

/** Arguments of `teams.upsert`. */
export type TeamsUpsertArgs = {
  /** The role that gets messages without one. */
  entryRole: string;
  /** Names this call: repeated with the same key and arguments it takes effect once, and the answer is the first one. With other arguments it is refused. */
  idempotencyKey?: string;
  /** For example `duo`. */
  name: string;
  /** In order of rank. */
  roles: {
    /** Roles (or `user`) that it may hand to. */
    handsTo: string[];
    /** What the role does, in words for the agent. */
    instructions: string;
    /** In lower case. */
    name: string;
    /** For people. */
    title: string;
  }[];
};

/** Arguments of `users.invite`. */
export type UsersInviteArgs = {
  /** Their name: 1 to 100 characters, not in use. Inviting a name that has not signed in yet revokes the lost link. */
  name: string;
};
