//! Databases to test on: SQLite in a temporary directory always, PostgreSQL where there is one.

use futures_util::FutureExt as _;
use sqlx::Connection as _;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

/// Where PostgreSQL is looked for when nothing is said.
const POSTGRES: &str = "postgres://postgres@127.0.0.1:5432/postgres";

/// Runs a case with the URL of an empty PostgreSQL database and removes that, whether the case holds or not. Passed over loudly
/// where there is no PostgreSQL.
pub(crate) async fn on_postgres<F, Fut>(case: F)
where
    F: FnOnce(String) -> Fut,
    Fut: Future<Output = ()>,
{
    let Some((admin, mut connection)) = postgres().await else { return };
    let name = format!("chatroom_test_{}", uuid::Uuid::now_v7().simple());
    execute(&mut connection, format!("CREATE DATABASE {name} TEMPLATE template0")).await;
    let mut url = url::Url::parse(&admin).unwrap();
    url.set_path(&name);
    let ended = AssertUnwindSafe(case(url.into())).catch_unwind().await;
    // By force: a case that failed may have left a transaction open.
    execute(&mut connection, format!("DROP DATABASE {name} WITH (FORCE)")).await;
    if let Err(panic) = ended {
        std::panic::resume_unwind(panic);
    }
}

/// A connection that may create databases. Without one, tests of PostgreSQL are passed over loudly; they fail when
/// `CHATROOM_TEST_POSTGRES` names a server, or `CI` is true.
async fn postgres() -> Option<(String, sqlx::PgConnection)> {
    let told = std::env::var("CHATROOM_TEST_POSTGRES").ok();
    let url = told.clone().unwrap_or_else(|| POSTGRES.to_owned());
    let connecting = tokio::time::timeout(Duration::from_secs(10), sqlx::PgConnection::connect(&url));
    let why = match connecting.await {
        Ok(Ok(connection)) => return Some((url, connection)),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "no answer within 10 seconds".to_owned(),
    };
    let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(told.is_none() && !ci, "PostgreSQL at {url} cannot be reached: {why}");
    #[allow(clippy::print_stderr, reason = "whoever runs the tests must see what was not tested")]
    {
        eprintln!(
            "SKIPPED: not tested on PostgreSQL, because {url} cannot be reached ({why}); set CHATROOM_TEST_POSTGRES"
        );
    }
    None
}

async fn execute(connection: &mut sqlx::PgConnection, statement: String) {
    sqlx::query(sqlx::AssertSqlSafe(statement)).execute(connection).await.unwrap();
}
