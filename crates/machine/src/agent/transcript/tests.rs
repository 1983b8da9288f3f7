use super::super::run_dir::RunDir;
use super::{Reader, SEGMENT_BYTES, SEGMENTS, Writer, segment, segments};
use chatroom_protocol::UnixMs;
use chatroom_protocol::transcript::{CallStatus, Diff, EVENT_BYTES, Entry, PermissionOption, ToolKind, TurnEnd};
use std::fs::{self, OpenOptions};
use std::io::Write as _;

const ALL: usize = usize::MAX;

fn run() -> (tempfile::TempDir, RunDir) {
    let root = tempfile::tempdir().unwrap();
    let run = RunDir::at(root.path());
    (root, run)
}

fn output(text: &str) -> Entry {
    Entry::Output { text: text.to_owned() }
}

fn said(text: &str) -> Entry {
    Entry::Text { text: text.to_owned() }
}

fn update(status: Option<CallStatus>, output: &str) -> Entry {
    let output = Some(output.to_owned());
    Entry::ToolUpdate { call_id: "c".to_owned(), status, title: None, output, diffs: Vec::new() }
}

fn entries(run: &RunDir) -> Vec<Entry> {
    Reader::at(run).read_after(0, ALL, ALL).unwrap().into_iter().map(|event| event.entry).collect()
}

#[test]
fn pieces_of_a_saying_are_one_event_until_it_is_long_or_old_or_something_else_comes() {
    let (_root, run) = run();
    let mut writer = Writer::new(&run);
    writer.record(said("a"), UnixMs(1000));
    writer.record(said("b"), UnixMs(1150));
    assert_eq!((writer.last_seq(), writer.deadline()), (0, Some(UnixMs(1200))));
    writer.tick(UnixMs(1199));
    assert_eq!(writer.last_seq(), 0);
    writer.tick(UnixMs(1200));
    writer.record(said("c"), UnixMs(1300));
    writer.record(Entry::Thought { text: "hm".to_owned() }, UnixMs(1301));
    writer.record(Entry::Compacted, UnixMs(1302));
    writer.record(said(&"x".repeat(5000)), UnixMs(1303));
    let thought = Entry::Thought { text: "hm".to_owned() };
    let expected = [said("ab"), said("c"), thought, Entry::Compacted, said(&"x".repeat(5000))];
    let events = Reader::at(&run).read_after(0, ALL, ALL).unwrap();
    assert_eq!(events.iter().map(|event| event.entry.clone()).collect::<Vec<_>>(), expected);
    assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!(events[0].at, UnixMs(1000));
    assert_eq!(writer.deadline(), None);
}

#[test]
fn the_news_of_a_running_call_are_told_once_a_second_and_its_end_at_once() {
    let (_root, run) = run();
    let mut writer = Writer::new(&run);
    for round in 0..100 {
        writer.record(update(None, &"y".repeat(round)), UnixMs(1000));
    }
    writer.record(update(None, &"y".repeat(20_000)), UnixMs(1001));
    assert_eq!((writer.last_seq(), writer.deadline()), (0, Some(UnixMs(2000))));
    writer.tick(UnixMs(2000));
    writer.record(update(None, "more"), UnixMs(2001));
    writer.record(update(Some(CallStatus::Completed), &"z".repeat(20_000)), UnixMs(2002));
    let told = entries(&run);
    assert_eq!(told.len(), 2);
    let Entry::ToolUpdate { output: Some(running), .. } = &told[0] else { panic!("{told:?}") };
    assert!(running.len() < 9000 && running.contains("bytes were left out"), "{}", running.len());
    assert_eq!(told[1], update(Some(CallStatus::Completed), &"z".repeat(20_000)));
}

#[test]
fn an_event_is_cut_to_its_size_and_says_so() {
    let (_root, run) = run();
    let mut writer = Writer::new(&run);
    // Every byte of these becomes six in JSON.
    let nasty = "\u{1}".repeat(70_000);
    let diff = Diff { path: "é".repeat(50_000), old_text: Some(nasty.clone()), new_text: nasty.clone() };
    let option = PermissionOption {
        option_id: "o".to_owned(),
        name: nasty.clone(),
        kind: chatroom_protocol::transcript::Choice::AllowOnce,
    };
    writer.record(said(&nasty), UnixMs(1));
    writer.record(output(&"ü".repeat(100_000)), UnixMs(1));
    writer.record(
        Entry::ToolUpdate {
            call_id: "c".to_owned(),
            status: Some(CallStatus::Completed),
            title: Some(nasty.clone()),
            output: Some(nasty.clone()),
            diffs: vec![diff; 60],
        },
        UnixMs(1),
    );
    writer.record(
        Entry::PermissionAsked {
            request_id: "r".to_owned(),
            call_id: None,
            title: nasty.clone(),
            tool_kind: ToolKind::Execute,
            command: Some(nasty.clone()),
            paths: vec![nasty; 60],
            options: vec![option; 60],
        },
        UnixMs(1),
    );
    let text = fs::read_to_string(segment(run.path(), 1)).unwrap();
    assert_eq!(text.lines().count(), 4);
    for line in text.lines() {
        assert!(line.len() <= EVENT_BYTES, "{}", line.len());
        assert!(line.contains("bytes were left out here"));
    }
}

#[test]
fn a_tail_is_read_on_where_it_was_left_and_within_its_bounds() {
    let (_root, run) = run();
    let mut writer = Writer::new(&run);
    let mut reader = Reader::at(&run);
    assert!(reader.read_after(0, ALL, ALL).unwrap().is_empty());
    assert_eq!(reader.last_seq().unwrap(), 0);
    for round in 1..=5 {
        writer.record(output(&format!("{round}")), UnixMs(round));
    }
    let seqs = |events: Vec<chatroom_protocol::transcript::TranscriptEvent>| {
        events.iter().map(|event| event.seq).collect::<Vec<_>>()
    };
    assert_eq!(seqs(reader.read_after(0, 2, ALL).unwrap()), [1, 2]);
    assert_eq!(seqs(reader.read_after(2, ALL, 60).unwrap()), [3]);
    assert_eq!(seqs(reader.read_after(3, ALL, ALL).unwrap()), [4, 5]);
    assert!(reader.read_after(5, ALL, ALL).unwrap().is_empty());
    writer.record(output("6"), UnixMs(6));
    assert_eq!(seqs(reader.read_after(5, ALL, ALL).unwrap()), [6]);
    // Said again, as after a lost answer.
    assert_eq!(seqs(reader.read_after(3, ALL, ALL).unwrap()), [4, 5, 6]);
    assert_eq!(reader.last_seq().unwrap(), 6);
}

#[test]
fn a_torn_last_line_was_never_said() {
    let (_root, run) = run();
    let mut writer = Writer::new(&run);
    writer.record(output("whole"), UnixMs(1));
    let mut file = OpenOptions::new().append(true).open(segment(run.path(), 1)).unwrap();
    file.write_all(b"{\"seq\":2,\"at\":3,\"kind\":\"comp").unwrap();
    let mut reader = Reader::at(&run);
    assert_eq!(reader.read_after(0, ALL, ALL).unwrap().len(), 1);
    assert_eq!(reader.last_seq().unwrap(), 1);
    file.write_all(b"acted\"}\n").unwrap();
    let more = reader.read_after(1, ALL, ALL).unwrap();
    assert_eq!((more.len(), more[0].seq), (1, 2));
    assert_eq!(reader.last_seq().unwrap(), 2);
}

#[test]
fn the_oldest_segments_go_and_a_reader_of_them_goes_on_later() {
    let (_root, run) = run();
    let mut writer = Writer::with_segments_of(&run, 1000);
    let mut reader = Reader::at(&run);
    writer.record(output("first"), UnixMs(0));
    assert_eq!(reader.read_after(0, ALL, ALL).unwrap().len(), 1);
    for round in 0..500 {
        writer.record(output(&format!("{round:0>100}")), UnixMs(round));
    }
    let kept = segments(run.path()).unwrap();
    assert_eq!(kept.len(), SEGMENTS);
    let events = reader.read_after(1, ALL, ALL).unwrap();
    assert_eq!(events[0].seq, kept[0]);
    assert_eq!(events.last().unwrap().seq, 501);
    assert!(events.windows(2).all(|pair| pair[1].seq == pair[0].seq + 1));
    assert_eq!(Reader::at(&run).read_after(0, 1, ALL).unwrap()[0].seq, kept[0]);
    assert!(SEGMENT_BYTES as usize > 8 * EVENT_BYTES);
}

#[test]
fn events_that_cannot_be_written_are_counted_where_writing_goes_on() {
    let (root, _) = run();
    let run = RunDir::at(root.path().join("later"));
    let mut writer = Writer::new(&run);
    for _ in 0..3 {
        writer.record(Entry::Compacted, UnixMs(1));
    }
    assert_eq!(writer.last_seq(), 0);
    fs::create_dir(run.path()).unwrap();
    writer.record(Entry::TurnEnded { reason: TurnEnd::EndTurn, message: None }, UnixMs(2));
    let events = Reader::at(&run).read_after(0, ALL, ALL).unwrap();
    assert_eq!((events[0].seq, &events[0].entry), (4, &Entry::Dropped { events: 3 }));
    assert_eq!(events[1].seq, 5);
    assert_eq!((writer.last_seq(), events.len()), (5, 2));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_loses_events_with_a_mark_and_nothing_else() {
    let (_root, run) = run();
    let mut writer = Writer::new(&run);
    // Every write to this device fails as on a full disk.
    std::os::unix::fs::symlink("/dev/full", segment(run.path(), 1)).unwrap();
    writer.record(output("lost"), UnixMs(1));
    assert_eq!(writer.last_seq(), 0);
    fs::remove_file(segment(run.path(), 1)).unwrap();
    writer.record(output("kept"), UnixMs(2));
    assert_eq!(entries(&run), [Entry::Dropped { events: 1 }, output("kept")]);
}

#[test]
fn half_a_line_before_a_newer_segment_is_no_line_of_anything() {
    let (_root, run) = run();
    let mut writer = Writer::new(&run);
    writer.record(output("before"), UnixMs(1));
    OpenOptions::new().append(true).open(segment(run.path(), 1)).unwrap().write_all(b"{\"seq\":2,").unwrap();
    let mut reader = Reader::at(&run);
    assert_eq!(reader.read_after(0, ALL, ALL).unwrap().len(), 1);
    let mut newer = OpenOptions::new().create(true).append(true).open(segment(run.path(), 3)).unwrap();
    newer.write_all(b"{\"seq\":3,\"at\":1,\"kind\":\"dropped\",\"events\":1}\n").unwrap();
    assert_eq!(reader.read_after(1, ALL, ALL).unwrap()[0].entry, Entry::Dropped { events: 1 });
}
