//! Permissions of a session: what its mode answers, and what waits for its owner.

use super::protocol::Ask;
use super::{MAX_OPEN, Open, Out, Session, Turn};
use chatroom_protocol::UnixMs;
use chatroom_protocol::id::InputId;
use chatroom_protocol::tool::PermissionMode;
use chatroom_protocol::transcript::{Choice, Decider, Entry, PermissionOption, PermissionOutcome, ToolKind};

impl Session {
    pub(super) fn take_answer(
        &mut self,
        input_id: InputId,
        request_id: String,
        choice: Choice,
        by: Decider,
        now: UnixMs,
        out: &mut Vec<Out>,
    ) {
        let Some(open) = self.open.get(&request_id) else {
            let reason = "nobody waits for this answer any more".to_owned();
            out.push(self.note(Entry::InputRefused { input_id, reason }, now));
            return;
        };
        let option = choice.find(&open.options).cloned();
        if option.is_none() && choice.allows() {
            let reason = "the tool offers no such answer; choose another one".to_owned();
            out.push(self.note(Entry::InputRefused { input_id, reason }, now));
            return;
        }
        out.push(self.note(Entry::InputTaken { input_id }, now));
        self.settle(&request_id, option.as_ref(), choice, by, now, out);
    }

    /// Gives an answer to the tool and records it. An answer without an option is the tool's "cancelled".
    fn settle(
        &mut self,
        request_id: &str,
        option: Option<&PermissionOption>,
        choice: Choice,
        by: Decider,
        now: UnixMs,
        out: &mut Vec<Out>,
    ) {
        self.open.remove(request_id);
        let choice = option.map_or(choice, |option| option.kind);
        let outcome = PermissionOutcome::Selected { choice, by };
        out.push(self.note(Entry::PermissionSettled { request_id: request_id.to_owned(), outcome }, now));
        let steps = self.protocol.answer(request_id, option);
        self.follow(steps, now, out);
    }

    pub(super) fn withdraw_all(&mut self, now: UnixMs, out: &mut Vec<Out>) {
        while let Some((request_id, _)) = self.open.pop_first() {
            let steps = self.protocol.answer(&request_id, None);
            self.follow(steps, now, out);
            let outcome = PermissionOutcome::Withdrawn;
            out.push(self.note(Entry::PermissionSettled { request_id, outcome }, now));
        }
    }

    pub(super) fn ask(&mut self, ask: Ask, now: UnixMs, out: &mut Vec<Out>) {
        let by_mode = ask.is_ours
            || match self.mode {
                PermissionMode::Full => true,
                PermissionMode::AcceptEdits => {
                    matches!(ask.tool_kind, ToolKind::Read | ToolKind::Search | ToolKind::Think | ToolKind::Edit)
                }
                PermissionMode::Ask => false,
            };
        self.turn.get_or_insert(Turn { source: None, asked: true, ends_by: None }).asked = true;
        // Whatever the mode: what is asked in a turn that was cancelled is not to be done.
        let is_cancelled = self.turn.as_ref().is_some_and(Turn::is_cancelled);
        let allowed = (by_mode && !is_cancelled).then(|| {
            // Whoever may do everything loses nothing by a yes that lasts.
            let lasting =
                || (self.mode == PermissionMode::Full).then(|| Choice::AllowAlways.find(&ask.options)).flatten();
            Choice::AllowOnce.find(&ask.options).or_else(lasting).cloned()
        });
        let Ask { request_id, call_id, title, tool_kind, command, paths, options, is_ours: _ } = ask;
        let id = request_id.clone();
        self.open.insert(id.clone(), Open { options: options.clone() });
        out.push(
            self.note(Entry::PermissionAsked { request_id, call_id, title, tool_kind, command, paths, options }, now),
        );
        if let Some(option) = allowed.flatten() {
            self.settle(&id, Some(&option), option.kind, Decider::Mode, now, out);
        } else if self.open.len() > MAX_OPEN || is_cancelled {
            self.open.remove(&id);
            let outcome = PermissionOutcome::Withdrawn;
            out.push(self.note(Entry::PermissionSettled { request_id: id.clone(), outcome }, now));
            let steps = self.protocol.answer(&id, None);
            self.follow(steps, now, out);
        }
    }
}
