//! Who this machine is: `machine.json`, and the fingerprint that tells a copied file from a machine's own.

pub mod fingerprint;
pub mod storage;

pub use fingerprint::Fingerprint;
pub use storage::{
    AgentContext, Created, IdentityError, MachineFile, load, load_or_create, repair_moved, repair_new, update,
};
