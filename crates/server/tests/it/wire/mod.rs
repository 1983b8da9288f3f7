//! The live channel under load, races and bad manners, with functions made for it.

mod calls;
mod idle;
mod manners;
mod probe;
mod sharing;
