// Made by `chatroom generate-typescript` from the functions of the server. Do not edit.

import { anyApi, type FunctionReference } from "convex/server";
import type * as t from "./types";

/** Every function of the server. */
export type Api = {
  agents: {
    /** Adds events to an agent's transcript, replay-safe: those that are known already change nothing. */
    appendTranscript: FunctionReference<"mutation", "public", t.AgentsAppendTranscriptArgs, t.Appended>;
    /** Cancels the turn of an agent. */
    cancelTurn: FunctionReference<"mutation", "public", t.AgentsCancelTurnArgs, t.AgentInput>;
    /** Shows one agent. */
    get: FunctionReference<"query", "public", t.AgentsGetArgs, t.Agent>;
    /** What waits to be taken into the sessions of this machine's agents, oldest first. The daemon subscribes to it. */
    getInbox: FunctionReference<"query", "public", t.AgentsGetInboxArgs, t.Inbox>;
    /** Lists agents, newest first: of a room, of a machine, or all of the caller's. */
    list: FunctionReference<"query", "public", t.AgentsListArgs, t.Agent[]>;
    /** What was sent into an agent's session and what became of it, the newest 100, oldest first. */
    listInputs: FunctionReference<"query", "public", t.AgentsListInputsArgs, t.AgentInput[]>;
    /** Every role of a room with what is wanted of its agent, what is, and why it does not work, if so. */
    listRoles: FunctionReference<"query", "public", t.AgentsListRolesArgs, t.RoleStatus[]>;
    /** Reports that an agent's process ended; replay-safe. */
    reportExited: FunctionReference<"mutation", "public", t.AgentsReportExitedArgs, t.Empty>;
    /** Says something to an agent. It is queued until its machine takes it, and in the session until the turn is over. */
    send: FunctionReference<"mutation", "public", t.AgentsSendArgs, t.AgentInput>;
    /** A page of an agent's transcript. To follow it live, subscribe with `after`, and anew with a higher one now and then. */
    transcript: FunctionReference<"query", "public", t.AgentsTranscriptArgs, t.TranscriptPage>;
    /** One role as in `agents.listRoles`: the one fact that keeps it from working, since when, and what mends it. */
    why: FunctionReference<"query", "public", t.AgentsWhyArgs, t.RoleStatus>;
  };
  artifacts: {
    /** Reads an artifact: one version, by default the newest. */
    get: FunctionReference<"query", "public", t.ArtifactsGetArgs, t.ArtifactText>;
    /** Lists a room's artifacts, each in its newest version, by name. */
    list: FunctionReference<"query", "public", t.ArtifactsListArgs, t.Artifact[]>;
    /** Writes an artifact: the next version of its name. The text that the newest version has makes no new one. */
    put: FunctionReference<"mutation", "public", t.ArtifactsPutArgs, t.Artifact>;
    /** Removes an artifact with all its versions. */
    remove: FunctionReference<"mutation", "public", t.ArtifactsRemoveArgs, t.Empty>;
  };
  auth: {
    /** Approves a device login: its machine may act as the caller. */
    approveDeviceLogin: FunctionReference<"mutation", "public", t.AuthApproveDeviceLoginArgs, t.DeviceLogin>;
    /** Makes a new one-time link that signs a browser in as the caller. */
    createSignInLink: FunctionReference<"mutation", "public", t.AuthCreateSignInLinkArgs, t.SignInLink>;
    /** Mints a named, scoped, expiring token for scripts. */
    createToken: FunctionReference<"mutation", "public", t.AuthCreateTokenArgs, t.TokenCreated>;
    /** Refuses a device login. */
    denyDeviceLogin: FunctionReference<"mutation", "public", t.AuthDenyDeviceLoginArgs, t.DeviceLogin>;
    /** Shows what asks for approval under a user code. */
    getDeviceLogin: FunctionReference<"query", "public", t.AuthGetDeviceLoginArgs, t.DeviceLogin>;
    /** Lists the caller's live credentials. */
    listCredentials: FunctionReference<"query", "public", t.AuthListCredentialsArgs, t.Credential[]>;
    /** Revokes the credential of this call. */
    logout: FunctionReference<"mutation", "public", t.AuthLogoutArgs, t.Empty>;
    /** Asks whether a device login was approved; the first time after approval it gives the token, once. */
    pollDeviceLogin: FunctionReference<"mutation", "public", t.AuthPollDeviceLoginArgs, t.DeviceLoginDone>;
    /** Revokes one of the caller's credentials; its open sockets close. */
    revokeCredential: FunctionReference<"mutation", "public", t.AuthRevokeCredentialArgs, t.Empty>;
    /** Begins a device login (RFC 8628): gives a code to poll with and a code to show to a person. */
    startDeviceLogin: FunctionReference<"mutation", "public", t.AuthStartDeviceLoginArgs, t.DeviceLoginStarted>;
    /** Tells who the credential of this call speaks for. */
    whoami: FunctionReference<"query", "public", t.AuthWhoamiArgs, t.Identity>;
  };
  backlog: {
    /** Adds an item. */
    add: FunctionReference<"mutation", "public", t.BacklogAddArgs, t.BacklogItem>;
    /** Completes an item: by the person, by the role that has its task, or by the role that added it. */
    complete: FunctionReference<"mutation", "public", t.BacklogCompleteArgs, t.ItemWritten>;
    /** Lists items, oldest first: by default those that are not completed. */
    list: FunctionReference<"query", "public", t.BacklogListArgs, t.BacklogItem[]>;
    /** Removes an item; the task of one that was started goes on. */
    remove: FunctionReference<"mutation", "public", t.BacklogRemoveArgs, t.Empty>;
    /** Makes a message and a task of an item, in one transaction. Started before, it answers what it answered first. */
    start: FunctionReference<"mutation", "public", t.BacklogStartArgs, t.ItemStarted>;
  };
  chatrooms: {
    /** Archives a room: it takes no more messages and starts no more agents. */
    archive: FunctionReference<"mutation", "public", t.ChatroomsArchiveArgs, t.Chatroom>;
    /** Makes a room with a copy of a team. */
    create: FunctionReference<"mutation", "public", t.ChatroomsCreateArgs, t.Chatroom>;
    /** Shows a room. */
    get: FunctionReference<"query", "public", t.ChatroomsGetArgs, t.Chatroom>;
    /** Lists the caller's rooms, newest first; archived ones are left out. */
    list: FunctionReference<"query", "public", t.ChatroomsListArgs, t.Chatroom[]>;
    /** Gives a room another team (or the newest definition of the same one): its own copy is replaced. */
    updateTeam: FunctionReference<"mutation", "public", t.ChatroomsUpdateTeamArgs, t.TeamUpdated>;
  };
  contexts: {
    /** Begins a new context: the conversation before it is left out of what roles read. */
    create: FunctionReference<"mutation", "public", t.ContextsCreateArgs, t.Context>;
    /** Lists a room's contexts, newest first; the first is the current one. */
    list: FunctionReference<"query", "public", t.ContextsListArgs, t.Context[]>;
    /** What a role needs now: its task, the conversation since the current context began, the artifacts. A query confirms nothing: who reads for a role calls `tasks.confirm` first. */
    read: FunctionReference<"query", "public", t.ContextsReadArgs, t.RoleContext>;
  };
  machines: {
    /** Claims, completes or fails a command by compare-and-set; a claim answers with the work order. */
    ackCommand: FunctionReference<"mutation", "public", t.MachinesAckCommandArgs, t.AckOutcome>;
    /** Cancels a command that is still pending. */
    cancelCommand: FunctionReference<"mutation", "public", t.MachinesCancelCommandArgs, t.Command>;
    /** Lists the agent configs of a room, joined with their machines. */
    getAgentConfigs: FunctionReference<"query", "public", t.MachinesGetAgentConfigsArgs, t.MachineAgentConfig[]>;
    /** Shows one command. */
    getCommand: FunctionReference<"query", "public", t.MachinesGetCommandArgs, t.Command>;
    /** The commands that wait for this daemon session, oldest first. Its subscription is what "connected" means. */
    getPendingCommands: FunctionReference<"query", "public", t.MachinesGetPendingCommandsArgs, t.PendingCommands>;
    /** Lists a machine's newest commands with their results. */
    listCommands: FunctionReference<"query", "public", t.MachinesListCommandsArgs, t.Command[]>;
    /** Lists the caller's machines with tools, connection and running agents. */
    listMachines: FunctionReference<"query", "public", t.MachinesListMachinesArgs, t.Machine[]>;
    /** Opens a daemon session: fences every older one and settles which agents run. Idempotent by session id. */
    openDaemonSession: FunctionReference<"mutation", "public", t.MachinesOpenDaemonSessionArgs, t.DaemonSessionOpened>;
    /** Creates or updates a machine by its id; on request mints the machine's own credential. */
    register: FunctionReference<"mutation", "public", t.MachinesRegisterArgs, t.Registered>;
    /** Removes a machine: revokes its credential, closes its socket, fails its commands. */
    remove: FunctionReference<"mutation", "public", t.MachinesRemoveArgs, t.Empty>;
    /** Renames a machine. */
    rename: FunctionReference<"mutation", "public", t.MachinesRenameArgs, t.Empty>;
    /** Sends a command to a machine. The client names its intent; the server decides tool, directory and prompt. */
    sendCommand: FunctionReference<"mutation", "public", t.MachinesSendCommandArgs, t.Command>;
    /** Sets what "start" uses for a role on a machine; fields left out keep their value. */
    updateAgentConfig: FunctionReference<"mutation", "public", t.MachinesUpdateAgentConfigArgs, t.AgentConfig>;
    /** Heartbeat of a daemon session with its agents; commits only what changed. */
    updateDaemonStatus: FunctionReference<"mutation", "public", t.MachinesUpdateDaemonStatusArgs, t.DaemonStatusOutcome>;
  };
  messages: {
    /** The prompt that an agent of a role is started with, made from the room's team. */
    getInitPrompt: FunctionReference<"query", "public", t.MessagesGetInitPromptArgs, t.InitPrompt>;
    /** Lists a room's messages, oldest first: the newest ones, or those after a sequence number. */
    list: FunctionReference<"query", "public", t.MessagesListArgs, t.Message[]>;
    /** The person has seen the messages to `user`, up to one of them. */
    markSeen: FunctionReference<"mutation", "public", t.MessagesMarkSeenArgs, t.MarkedSeen>;
    /** Tells what is being done about a task, by whoever holds it; it confirms the task and marks it as started. */
    reportProgress: FunctionReference<"mutation", "public", t.MessagesReportProgressArgs, t.ProgressReported>;
    /** Sends a person's message to a role (by default the entry role); it makes one task. */
    send: FunctionReference<"mutation", "public", t.MessagesSendArgs, t.Sent>;
  };
  participants: {
    /** Makes this waiter the one of its role; an older one is superseded at once. Idempotent by waiter id. */
    join: FunctionReference<"mutation", "public", t.ParticipantsJoinArgs, t.Joined>;
    /** Lists who waits for work in a room. */
    list: FunctionReference<"query", "public", t.ParticipantsListArgs, t.Participant[]>;
  };
  permissions: {
    /** Adds a rule to a room; requests that wait and fit are answered at once. */
    addRule: FunctionReference<"mutation", "public", t.PermissionsAddRuleArgs, t.Rule>;
    /** Answers a permission request. The first answer counts; another one is refused with it. */
    answer: FunctionReference<"mutation", "public", t.PermissionsAnswerArgs, t.Permission>;
    /** Lists permission requests, oldest first: those that wait for an answer, or also the newest 200 that have their end. */
    list: FunctionReference<"query", "public", t.PermissionsListArgs, t.Permission[]>;
    /** Lists the rules of a room that count, newest first. */
    listRules: FunctionReference<"query", "public", t.PermissionsListRulesArgs, t.Rule[]>;
    /** Removes a rule. */
    removeRule: FunctionReference<"mutation", "public", t.PermissionsRemoveRuleArgs, t.Empty>;
  };
  tasks: {
    /** Cancels a task that has not ended. */
    cancel: FunctionReference<"mutation", "public", t.TasksCancelArgs, t.TaskWritten>;
    /** Takes a task for a waiter under a new delivery number; the same waiter again gets the same hand-over. */
    claim: FunctionReference<"mutation", "public", t.TasksClaimArgs, t.ClaimOutcome>;
    /** Ends one's own task without handing it on. */
    complete: FunctionReference<"mutation", "public", t.TasksCompleteArgs, t.TaskWritten>;
    /** Confirms that the role got its task (any call of the role does; this one does nothing else). */
    confirm: FunctionReference<"mutation", "public", t.TasksConfirmArgs, t.Empty>;
    /** The task that an agent of the calling machine holds, as a delivery into its session is followed. */
    getHeld: FunctionReference<"query", "public", t.TasksGetHeldArgs, t.HeldTask>;
    /** What a waiter is to do now. Its subscription is what "waiting" means. A machine asks for the waiters that joined on it. */
    getNextTask: FunctionReference<"query", "public", t.TasksGetNextTaskArgs, t.NextTask>;
    /** Gives an unconfirmed hand-over back to the queue (the waiter could not print it). */
    giveBack: FunctionReference<"mutation", "public", t.TasksGiveBackArgs, t.TaskWritten>;
    /** Ends one's own task and gives the next role (or the user) a message, in one transaction. */
    handoff: FunctionReference<"mutation", "public", t.TasksHandoffArgs, t.HandedOff>;
    /** Lists a room's tasks, in queue order; ended ones only when asked for by state. Texts end after 1,000 characters with `…`. */
    list: FunctionReference<"query", "public", t.TasksListArgs, t.Task[]>;
    /** Puts a held task back into the queue; whoever held it is fenced off. */
    requeue: FunctionReference<"mutation", "public", t.TasksRequeueArgs, t.TaskWritten>;
    /** Says that work on the task began. */
    start: FunctionReference<"mutation", "public", t.TasksStartArgs, t.TaskWritten>;
  };
  teams: {
    /** Shows a team. */
    get: FunctionReference<"query", "public", t.TeamsGetArgs, t.ListedTeam>;
    /** Lists the teams that a room can be made with. */
    list: FunctionReference<"query", "public", t.TeamsListArgs, t.ListedTeam[]>;
    /** Removes a team of the user's own. Rooms keep the copy that they have. */
    remove: FunctionReference<"mutation", "public", t.TeamsRemoveArgs, t.Empty>;
    /** Makes a team of the user's own, or changes it. Rooms keep the copy that they have until `chatrooms.updateTeam`. */
    upsert: FunctionReference<"mutation", "public", t.TeamsUpsertArgs, t.TeamSaved>;
  };
  users: {
    /** Makes another user and a one-time link that signs them in. Only the first user may. */
    invite: FunctionReference<"mutation", "public", t.UsersInviteArgs, t.SignInLink>;
  };
};

/** Names the functions for `useQuery`, `useMutation` and the other calls of `convex`. */
export const api = anyApi as unknown as Api;
