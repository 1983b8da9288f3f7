//! Follows a transcript by pages: pure, each event is told once and in order, and no live page grows without an end.
//!
//! A live query of a transcript asks for the events after a number and answers with all of them again whenever one is added. So
//! the number is raised now and then, by a new subscription.

use chatroom_protocol::api::agents::TranscriptPage;
use chatroom_protocol::transcript::TranscriptEvent;

/// A page with more events is subscribed anew.
const PAGE: usize = 50;

/// How far a transcript was told.
#[derive(Debug)]
pub(crate) struct Follow {
    told: i64,
}

/// What a page brought.
#[derive(Debug, PartialEq)]
pub(crate) struct Taken {
    /// Events that were not told before.
    pub(crate) events: Vec<TranscriptEvent>,
    /// How many events are gone before these: they were too old to be kept.
    pub(crate) gone: i64,
    /// Whether to subscribe anew, after [`Follow::told`].
    pub(crate) anew: bool,
}

impl Follow {
    /// Begins after the event with this number.
    pub(crate) const fn after(told: i64) -> Self {
        Self { told }
    }

    /// The number of the last event that was told.
    pub(crate) const fn told(&self) -> i64 {
        self.told
    }

    /// Takes a page in.
    pub(crate) fn page(&mut self, page: TranscriptPage) -> Taken {
        let length = page.events.len();
        let gone = if page.first_seq > 0 { (page.first_seq - self.told - 1).max(0) } else { 0 };
        let events: Vec<_> = page.events.into_iter().filter(|event| event.seq > self.told).collect();
        if let Some(last) = events.last() {
            self.told = last.seq;
        }
        // A page may be cut by its size before it has many events: then there are more behind it.
        let is_cut = !events.is_empty() && self.told < page.last_seq;
        let gone = if events.is_empty() { 0 } else { gone };
        Taken { events, gone, anew: length > PAGE || is_cut }
    }
}

#[cfg(test)]
mod tests {
    use super::{Follow, PAGE};
    use chatroom_protocol::UnixMs;
    use chatroom_protocol::api::agents::TranscriptPage;
    use chatroom_protocol::transcript::{Entry, TranscriptEvent};
    use std::ops::RangeInclusive;

    fn page(events: RangeInclusive<i64>, first_seq: i64, last_seq: i64) -> TranscriptPage {
        let event = |seq| TranscriptEvent { seq, at: UnixMs(seq), entry: Entry::Compacted };
        TranscriptPage { events: events.map(event).collect(), first_seq, last_seq }
    }

    fn numbers(taken: &super::Taken) -> Vec<i64> {
        taken.events.iter().map(|event| event.seq).collect()
    }

    #[test]
    fn each_event_is_told_once_whatever_comes_again() {
        let mut follow = Follow::after(10);
        let first = follow.page(page(11..=13, 1, 13));
        assert_eq!((numbers(&first), first.gone, first.anew), (vec![11, 12, 13], 0, false));
        assert_eq!(numbers(&follow.page(page(11..=13, 1, 13))), Vec::<i64>::new());
        assert_eq!(numbers(&follow.page(page(11..=14, 1, 14))), [14]);
        assert_eq!(follow.told(), 14);
    }

    #[test]
    fn a_long_or_a_cut_page_is_asked_for_anew_behind_its_end() {
        let mut follow = Follow::after(0);
        let full = i64::try_from(PAGE).unwrap();
        assert!(!follow.page(page(1..=full, 1, full)).anew);
        assert!(follow.page(page(1..=full + 1, 1, full + 1)).anew);
        let mut follow = Follow::after(full + 1);
        assert!(follow.page(page(full + 2..=full + 4, 1, full + 90)).anew, "cut by its size");
        assert!(!follow.page(page(full + 2..=full + 4, 1, full + 90)).anew, "nothing new: no circle");
    }

    #[test]
    fn events_that_are_no_longer_kept_are_counted() {
        let mut follow = Follow::after(3);
        let taken = follow.page(page(9..=10, 9, 10));
        assert_eq!((numbers(&taken), taken.gone), (vec![9, 10], 5));
        let mut empty = Follow::after(0);
        assert_eq!(empty.page(TranscriptPage { events: Vec::new(), first_seq: 0, last_seq: 0 }).gone, 0);
    }
}
