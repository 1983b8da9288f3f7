//! Which machine is meant: by name or id, this one, or the only one.

use crate::context::Context;
use crate::error::refused;
use crate::ui::one_line;
use anyhow::Result;
use chatroom_machine::identity;
use chatroom_protocol::id::MachineId;
use chatroom_protocol::machine::Machine;

/// This machine's id, when it has one that can be read: for marking it where others are shown as well.
pub(crate) fn this_machine(context: &Context) -> Option<MachineId> {
    known_here(context).ok().flatten()
}

/// This machine's id, if it has one: for what happens on it.
///
/// # Errors
/// The identity is there, but cannot be read: another machine must not take its place.
pub(crate) fn known_here(context: &Context) -> Result<Option<MachineId>> {
    Ok(identity::load(&context.home)?.map(|file| file.machine_id))
}

/// Finds a machine by its id or its name.
///
/// # Errors
/// A refusal that lists the names: none has it, or more than one.
pub(crate) fn named<'a>(machines: &'a [Machine], name: &str) -> Result<&'a Machine> {
    if let Some(machine) = machines.iter().find(|machine| machine.machine_id.as_str() == name) {
        return Ok(machine);
    }
    let found: Vec<&Machine> = machines.iter().filter(|machine| machine.name.eq_ignore_ascii_case(name)).collect();
    match found.as_slice() {
        [machine] => Ok(machine),
        [] => Err(refused(format!("no machine is called {}", one_line(name))).hint(names(machines)).into()),
        _ => Err(refused(format!("{} machines are called {}", found.len(), one_line(name)))
            .hint("name it by its id: chatroom machine list")
            .into()),
    }
}

/// The machine that is meant when none is named: this one if it is registered, else the only one.
///
/// # Errors
/// A refusal that lists the names.
pub(crate) fn default<'a>(machines: &'a [Machine], this: Option<&MachineId>) -> Result<&'a Machine> {
    if let Some(machine) = machines.iter().find(|machine| Some(&machine.machine_id) == this) {
        return Ok(machine);
    }
    match machines {
        [machine] => Ok(machine),
        [] => Err(refused("no machine is registered").hint("on the machine: chatroom machine daemon start").into()),
        _ => Err(refused("there are several machines, and this is none of them").hint(names(machines)).into()),
    }
}

fn names(machines: &[Machine]) -> String {
    let names: Vec<String> = machines.iter().map(|machine| one_line(&machine.name)).collect();
    if names.is_empty() {
        "on the machine: chatroom machine daemon start".to_owned()
    } else {
        format!("give --machine=NAME, one of: {}", names.join(", "))
    }
}
