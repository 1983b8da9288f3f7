//! Cuts an event to the size that the server takes, with a plain note where something is missing.

use chatroom_protocol::transcript::{EVENT_BYTES, Entry};

/// What is left for the number and the time of an event.
const FRAME_BYTES: usize = 128;
/// Members of one list at most, when an event is too large with all of them.
const MEMBERS: usize = 40;

/// The entry, so short that its event fits.
pub(super) fn to_size(mut entry: Entry) -> Entry {
    let is_long = texts(&mut entry).iter().map(|text| text.len()).sum::<usize>() > EVENT_BYTES;
    for limit in [usize::MAX, 48 * 1024, 24 * 1024, 8 * 1024, 2 * 1024, 512, 96] {
        if limit == usize::MAX && is_long {
            continue;
        }
        if limit < usize::MAX {
            texts(&mut entry).into_iter().for_each(|text| shorten(text, limit));
        }
        if limit <= 2 * 1024 {
            shorten_lists(&mut entry);
        }
        if serde_json::to_string(&entry).is_ok_and(|json| json.len() + FRAME_BYTES <= EVENT_BYTES) {
            return entry;
        }
    }
    Entry::Output { text: "[an event was left out: it is too large]".to_owned() }
}

/// Cuts out the middle of a text, of which `limit` bytes stay about: the beginning tells what it is, the end how it went.
pub(super) fn shorten(text: &mut String, limit: usize) {
    if text.len() <= limit {
        return;
    }
    let half = limit / 2;
    let (head, tail) = (text.floor_char_boundary(half), text.ceil_char_boundary(text.len() - half));
    let missing = tail - head;
    *text = format!("{}\n[{missing} bytes were left out here]\n{}", &text[..head], &text[tail..]);
}

/// Every text of an entry that may be long. Names that other events refer to are none of them.
fn texts(entry: &mut Entry) -> Vec<&mut String> {
    match entry {
        Entry::Prompt { text, .. } | Entry::Text { text } | Entry::Thought { text } | Entry::Output { text } => {
            vec![text]
        }
        Entry::TurnEnded { message, .. } => message.iter_mut().collect(),
        Entry::Retrying { message, .. } | Entry::InputRefused { reason: message, .. } => vec![message],
        Entry::Trouble { trouble } => vec![&mut trouble.message],
        Entry::ToolCall { title, command, paths, .. } => {
            [title].into_iter().chain(command.as_mut()).chain(paths).collect()
        }
        Entry::PermissionAsked { title, command, paths, options, .. } => {
            let names = options.iter_mut().map(|option| &mut option.name);
            [title].into_iter().chain(command.as_mut()).chain(paths).chain(names).collect()
        }
        Entry::ToolUpdate { title, output, diffs, .. } => {
            let diffs = diffs
                .iter_mut()
                .flat_map(|diff| [&mut diff.path, &mut diff.new_text].into_iter().chain(diff.old_text.as_mut()));
            title.iter_mut().chain(output.as_mut()).chain(diffs).collect()
        }
        Entry::Plan { steps } => steps.iter_mut().map(|step| &mut step.content).collect(),
        Entry::SessionStarted { models, .. } => {
            models.iter_mut().flat_map(|list| &mut list.models).map(|model| &mut model.name).collect()
        }
        _ => Vec::new(),
    }
}

fn shorten_lists(entry: &mut Entry) {
    match entry {
        Entry::ToolCall { paths, .. } => paths.truncate(MEMBERS),
        Entry::PermissionAsked { paths, options, .. } => {
            paths.truncate(MEMBERS);
            options.truncate(MEMBERS);
        }
        Entry::ToolUpdate { diffs, .. } => diffs.truncate(MEMBERS),
        Entry::Plan { steps } => steps.truncate(MEMBERS),
        Entry::SessionStarted { models: Some(list), .. } if list.models.len() > MEMBERS => {
            list.models.truncate(MEMBERS);
            list.is_complete = false;
        }
        _ => {}
    }
}
