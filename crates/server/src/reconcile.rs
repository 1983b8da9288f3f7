//! What time does: deadlines pass, evidence gets old, history is forgotten. No input, every step idempotent and guarded, so any
//! number of server processes may do it at once, and a lost run costs nothing but the wait for the next one.

use crate::app::App;
use crate::clock;
use crate::functions::acks::expired;
use crate::functions::outcome::{By, fail_command};
use crate::functions::permissions::{decide, nearest};
use crate::functions::starts;
use crate::live::{Topic, Waker};
use crate::store::commands::{self, Guard};
use crate::store::{
    self, Backend, Tx, agents, audit, credentials, daemon_sessions, desired, device_logins, idempotency, inputs,
    machines, participants, permissions, replicas, retried, rules, tasks, transcripts,
};
use chatroom_protocol::UnixMs;
use chatroom_protocol::command::{CommandFailure, FailureCode};
use chatroom_protocol::transcript::{Choice, Decider};
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The longest sleep: what has no deadline of its own is looked at this often.
const LONGEST: Duration = Duration::from_secs(30);
/// How often a replica says that it is alive.
const REPLICA_BEAT: Duration = Duration::from_secs(5);
/// How often history is forgotten.
const RETENTION_MS: i64 = 60 * 60_000;
/// A claimed command is given up when its deadline and its machine have both been gone for this long: 10 minutes.
const GONE_MS: i64 = 10 * 60_000;
/// A claimed command is given up this long after its deadline even when its machine is connected: one hour.
const HUNG_MS: i64 = 60 * 60_000;
/// How many rows one transaction takes up.
const BATCH: i64 = 100;
/// How many transcripts one transaction forgets.
const FORGOTTEN: i64 = 10;

/// A step: what time has done to one kind of thing. Gives whether there is more to do at once.
type Step = for<'a> fn(&'a mut Tx, UnixMs) -> BoxFuture<'a, store::Result<bool>>;

const STEPS: &[(&str, Step)] = &[
    ("expire commands", |tx, now| Box::pin(expire(tx, now))),
    ("give up commands", |tx, now| Box::pin(give_up(tx, now))),
    ("start agents that are due", |tx, now| Box::pin(starts::start_due(tx, now, BATCH))),
    ("queue unconfirmed tasks again", |tx, now| {
        Box::pin(async move { tasks::requeue_unconfirmed(tx, now).await.map(|_| false) })
    }),
    ("refuse permissions that nobody gave", |tx, now| Box::pin(refuse_unanswered(tx, now))),
    ("end permission rules", |tx, now| Box::pin(async move { rules::delete_ended(tx, now).await.map(|_| false) })),
];

const RETENTION: &[(&str, Step)] = &[
    ("commands", |tx, now| Box::pin(async move { commands::delete_old(tx, now).await.map(|_| false) })),
    ("transcripts", |tx, now| {
        Box::pin(async move { Ok(transcripts::delete_old(tx, now, FORGOTTEN).await? == FORGOTTEN as u64) })
    }),
    ("inputs", |tx, now| Box::pin(async move { inputs::delete_old(tx, now).await.map(|_| false) })),
    ("permissions", |tx, now| Box::pin(async move { permissions::delete_old(tx, now).await.map(|_| false) })),
    ("agents", |tx, now| Box::pin(async move { agents::delete_old(tx, now).await.map(|_| false) })),
    ("daemon sessions", |tx, _| Box::pin(async move { daemon_sessions::delete_old(tx).await.map(|_| false) })),
    ("idempotency records", |tx, now| Box::pin(async move { idempotency::delete_old(tx, now).await.map(|_| false) })),
    ("audit", |tx, now| Box::pin(async move { audit::delete_old(tx, now).await.map(|_| false) })),
    ("credentials", |tx, now| Box::pin(async move { credentials::delete_old(tx, now).await.map(|_| false) })),
    ("device logins", |tx, now| Box::pin(async move { device_logins::delete_old(tx, now).await.map(|_| false) })),
];

/// Before the first socket is served: of what the last process held, nothing is known.
///
/// # Errors
/// When the database fails.
pub async fn at_start(app: &App) -> store::Result<()> {
    match app.store.backend() {
        Backend::Sqlite => {
            retried(|| async {
                let now = clock::now();
                let mut tx = app.store.write().await?;
                machines::set_all_unknown(&mut tx, now).await?;
                participants::set_gone_all(&mut tx, now).await?;
                tx.commit().await
            })
            .await
        }
        Backend::Postgres => beat(app, None).await,
    }
}

/// Reconciles until shutdown.
pub async fn run(app: Arc<App>, shutdown: CancellationToken) {
    let mut forgotten_at = None;
    let restarts = Arc::new(Waker::default());
    app.hub.watch(&Topic::Restarts, &restarts);
    loop {
        drop(restarts.take());
        let now = clock::now();
        settle(&app, now).await;
        if forgotten_at.is_none_or(|at| now.since(at) >= RETENTION_MS) {
            forgotten_at = Some(now);
            run_steps(&app, RETENTION, now).await;
        }
        let longest = if app.store.backend() == Backend::Postgres { REPLICA_BEAT } else { LONGEST };
        tokio::select! {
            () = shutdown.cancelled() => break,
            // A deadline was set that may come before the one that is waited for.
            () = app.deadline_set.notified() => {}
            // An agent is due, or a machine is back on which one may be; perhaps by the word of another server process.
            () = restarts.wait() => {}
            () = tokio::time::sleep(until_next_deadline(&app, now, longest).await) => {}
        }
    }
    if let Err(error) = flush_last_used(&app).await {
        tracing::warn!(%error, "cannot write down when credentials were last used");
    }
    if app.store.backend() == Backend::Postgres
        && let Err(error) = beat(&app, Some(&app.replica)).await
    {
        tracing::warn!(%error, "cannot say goodbye to the other servers");
    }
}

/// One round: everything that time has done until `now`. Failures are logged; the next round does what this one could not.
pub async fn settle(app: &App, now: UnixMs) {
    run_steps(app, STEPS, now).await;
    if let Err(error) = flush_last_used(app).await {
        tracing::warn!(%error, "cannot write down when credentials were last used");
    }
    if app.store.backend() == Backend::Postgres
        && let Err(error) = beat(app, None).await
    {
        tracing::warn!(%error, "cannot tell the other servers that this one is alive");
    }
}

async fn run_steps(app: &App, steps: &[(&'static str, Step)], now: UnixMs) {
    for (name, step) in steps {
        loop {
            let done = retried(|| async {
                let mut tx = app.store.write().await?;
                let more = step(&mut tx, now).await?;
                tx.commit().await?;
                Ok::<_, store::StoreError>(more)
            });
            match done.await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    tracing::warn!(step = name, %error, "a step of the reconciler failed; it is tried again later");
                    break;
                }
            }
        }
    }
}

/// How long until something expires or an agent is due, after a round at `settled_at`; never longer than `longest`.
async fn until_next_deadline(app: &App, settled_at: UnixMs, longest: Duration) -> Duration {
    let next = async {
        let mut tx = app.store.read().await?;
        let deadlines = [
            commands::next_deadline(&mut tx).await?,
            tasks::next_confirm_deadline(&mut tx).await?,
            desired::next_restart(&mut tx, settled_at).await?,
            permissions::next_deadline(&mut tx).await?,
            rules::next_end(&mut tx).await?,
        ];
        Ok::<_, store::StoreError>(deadlines.into_iter().flatten().min())
    };
    match next.await {
        Ok(Some(next)) => {
            // A step that fails for good would spin without the floor.
            let wait = u64::try_from(next.since(clock::now())).unwrap_or_default().max(50);
            Duration::from_millis(wait).min(longest)
        }
        Ok(None) | Err(_) => longest,
    }
}

async fn expire(tx: &mut Tx, now: UnixMs) -> store::Result<bool> {
    let rows = commands::list_expired(tx, now, BATCH).await?;
    let by = By::server("reconcile.expire");
    for row in &rows {
        if fail_command(tx, row, Guard::Pending, &expired(), &by, now).await? {
            tracing::info!(command.id = %row.command.command_id, "a command expired");
        }
    }
    Ok(rows.len() as i64 == BATCH)
}

async fn give_up(tx: &mut Tx, now: UnixMs) -> store::Result<bool> {
    let rows = commands::list_lost(tx, now - GONE_MS, now - HUNG_MS, BATCH).await?;
    let by = By::server("reconcile.giveUp");
    let failure = CommandFailure::new(
        FailureCode::OutcomeUnknown,
        "its machine began and has not said since how it went; whether it took effect cannot be known",
    )
    .hint("when the machine is back, the list of agents tells what runs there");
    for row in &rows {
        if fail_command(tx, row, Guard::Open, &failure, &by, now).await? {
            tracing::warn!(command.id = %row.command.command_id, "a command was given up; its outcome is unknown");
        }
    }
    Ok(rows.len() as i64 == BATCH)
}

async fn refuse_unanswered(tx: &mut Tx, now: UnixMs) -> store::Result<bool> {
    let rows = permissions::list_expired(tx, now, BATCH).await?;
    for row in &rows {
        let choice = nearest(Choice::RejectOnce, &row.permission.options).unwrap_or(Choice::RejectOnce);
        decide(tx, row, choice, Decider::Expiry, now).await?;
    }
    Ok(rows.len() as i64 == BATCH)
}

async fn flush_last_used(app: &App) -> store::Result<()> {
    let used = app.take_last_used();
    if used.is_empty() {
        return Ok(());
    }
    retried(|| async {
        let mut tx = app.store.write().await?;
        for (id, at) in &used {
            credentials::set_last_used(&mut tx, id, *at).await?;
        }
        tx.commit().await
    })
    .await
}

/// Says that this replica is alive (or leaves), and takes note of those that are not.
async fn beat(app: &App, leaving: Option<&str>) -> store::Result<()> {
    retried(|| async {
        let now = clock::now();
        let mut tx = app.store.write().await?;
        if leaving.is_none() {
            replicas::upsert(&mut tx, &app.replica, now).await?;
        }
        let dead = replicas::delete_dead(&mut tx, leaving, now).await?;
        if !dead.is_empty() {
            machines::set_unknown_of_replicas(&mut tx, &dead, now).await?;
            participants::set_gone_of_replicas(&mut tx, &dead, now).await?;
            tracing::info!(replicas = ?dead, "server processes are gone");
        }
        tx.commit().await
    })
    .await
}
