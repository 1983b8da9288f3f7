//! The built-in tool `echo`: an agent without a model. It takes each task of its role, begins it, and hands its text back to
//! the user. It shows that everything between a message and its answer works.

use crate::context::{Context, link};
use crate::error::refused;
use crate::retry;
use crate::stop::on_signal;
use anyhow::Result;
use chatroom_machine::credentials::Source;
use chatroom_machine::waiter::{Notice, Waited, Waiter};
use chatroom_machine::{CallError, Client};
use chatroom_protocol::api::tasks;
use chatroom_protocol::id::WaiterId;
use chatroom_protocol::room::USER_ROLE;
use chatroom_protocol::task::Delivery;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Pause between tries to reach the server at the beginning.
const RETRY: Duration = Duration::from_secs(1);

/// Works until it is stopped or a newer waiter has taken its role.
pub(crate) async fn run(context: &Context) -> Result<()> {
    let resolved = context.resolve()?;
    let Source::Agent(agent) = resolved.source else {
        return Err(refused("the echo agent is started by the daemon")
            .hint("chatroom agent start --tool=echo --chatroom-id=ID --role=ROLE")
            .into());
    };
    let ui = context.ui;
    let client = Client::new(&resolved.server, resolved.token)?;
    let stopped = on_signal(false)?;
    let link = link(&client, &stopped)?;
    let waiter_id = WaiterId::from(uuid::Uuid::now_v7());
    let args = tasks::WaiterArgs { chatroom_id: agent.chatroom_id, role: agent.role, waiter_id };
    let waiter = Waiter::new(client, args, None);
    while let Err(error) = waiter.join().await {
        if !error.is_retryable() {
            return Err(error.into());
        }
        tokio::select! {
            () = stopped.cancelled() => return Ok(()),
            () = tokio::time::sleep(RETRY) => {}
        }
    }
    ui.say("echo: waiting for tasks")?;
    loop {
        let notice = |notice| {
            if let Notice::Down(reason) = notice {
                let _ = ui.say(&format!("echo: the server cannot be reached: {reason}"));
            }
        };
        match waiter.next(&link, &stopped, notice).await? {
            Waited::Over => return Ok(()),
            Waited::Superseded(reason) => return Ok(ui.say(&format!("echo: ended: {reason}"))?),
            Waited::Task(delivery) => match answer(&waiter, &delivery, &stopped).await {
                Ok(()) => ui.say(&format!("echo: answered task {}", delivery.task.task_id))?,
                // The task was taken away meanwhile: there will be others.
                Err(CallError::Refused(refusal)) => {
                    ui.say(&format!("echo: task {}: {refusal}", delivery.task.task_id))?
                }
                Err(error) => return Err(error.into()),
            },
        }
    }
}

async fn answer(waiter: &Waiter, delivery: &Delivery, stopped: &CancellationToken) -> Result<(), CallError> {
    let task = waiter.fence(delivery);
    let handoff = tasks::HandoffArgs {
        chatroom_id: task.chatroom_id.clone(),
        role: task.role.clone(),
        task_id: task.task_id.clone(),
        delivery: task.delivery,
        next_role: USER_ROLE.to_owned(),
        content: format!("echo: {}", delivery.task.content),
        artifacts: Vec::new(),
    };
    loop {
        let done = async {
            retry::idempotent::<tasks::Start>(waiter.client(), &task).await?;
            retry::idempotent::<tasks::Handoff>(waiter.client(), &handoff).await
        };
        match done.await {
            Ok(_) => return Ok(()),
            // A server that restarts: the delivery number keeps a second try from doing anything twice.
            Err(error) if error.is_retryable() && !stopped.is_cancelled() => {}
            Err(error) => return Err(error),
        }
    }
}
