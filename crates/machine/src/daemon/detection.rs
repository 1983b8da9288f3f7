//! Keeps what the server knows of this machine's tools current: at the start, every ten minutes, and when a tool turned out
//! to be otherwise. On a task of its own: nothing waits for it but the first start of an agent.

use super::session::{Session, Sessions};
use crate::config::Config;
use crate::identity::{self, Fingerprint};
use crate::tools::{Detection, Detector};
use crate::{Home, clock};
use chatroom_protocol::api::machines::Register;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// Between detections that nobody asked for.
const INTERVAL: Duration = Duration::from_secs(600);
/// At least so long between two detections.
const PAUSE: Duration = Duration::from_secs(2);

/// Detects tools until the daemon ends.
pub(super) async fn run(
    home: Home,
    sessions: Arc<Sessions>,
    found: watch::Sender<Option<Arc<Detection>>>,
    detected: watch::Sender<bool>,
    again: Arc<Notify>,
) {
    let fingerprint = Fingerprint::read();
    let mut detector: Option<(Config, Detector)> = None;
    let mut registered = None;
    let mut fault = None;
    loop {
        let config = Config::load(&home).unwrap_or_else(|error| {
            tracing::error!(%error, "the settings cannot be used");
            detector.as_ref().map(|(config, _)| config.clone()).unwrap_or_default()
        });
        if detector.as_ref().is_none_or(|(known, _)| *known != config) {
            let fresh = Detector::new(&home, &config).with_environment();
            detector = Some((config, fresh));
        }
        let Some((_, known)) = &detector else { continue };
        let detection = known.detect().await;
        if detection.fault != fault {
            fault.clone_from(&detection.fault);
            match &fault {
                Some(fault) => tracing::error!(fault, "the tools of this machine's owner cannot be used"),
                None => tracing::info!("the tools of this machine's owner can be used again"),
            }
        }
        found.send_replace(Some(Arc::new(detection.clone())));
        let (stored_home, print, stored) = (home.clone(), fingerprint.clone(), detection.clone());
        let machine = spawn_blocking(move || {
            identity::update(&stored_home, &print, |machine| {
                machine.available_tools = stored.reports;
                machine.spawn_path = Some(stored.spawn_path);
            })
        });
        let machine = match machine.await {
            Ok(Ok((machine, ()))) => Some(machine),
            Ok(Err(error)) => {
                tracing::error!(%error, "machine.json cannot be written");
                None
            }
            Err(error) => {
                tracing::error!(%error, "machine.json cannot be written");
                None
            }
        };
        detected.send_replace(true);
        if let Some(machine) = machine.filter(|_| registered.as_ref() != Some(&detection.reports)) {
            let args = machine.register_args(&sessions.cli_path, false);
            let call = |session: Session| {
                let args = args.clone();
                async move { session.client.call::<Register>(&args).await }
            };
            match sessions.call(call).await {
                Ok(_) => {
                    registered = Some(detection.reports);
                    let (home, print, server) = (home.clone(), fingerprint.clone(), sessions.server.to_string());
                    let noted = spawn_blocking(move || {
                        identity::update(&home, &print, |machine| {
                            machine.last_synced_at = Some(clock::now());
                            machine.server = Some(server);
                        })
                    });
                    if let Ok(Err(error)) = noted.await {
                        tracing::error!(%error, "machine.json cannot be written");
                    }
                }
                Err(error) => tracing::error!(%error, "the server does not take this machine's tools"),
            }
        }
        sleep(PAUSE).await;
        tokio::select! {
            () = sleep(INTERVAL) => {}
            () = again.notified() => {}
        }
    }
}
