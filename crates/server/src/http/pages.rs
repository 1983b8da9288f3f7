//! The page's document and files, and server-rendered pages without script: sign in, approve a device login, sign out.

use super::{Address, Web};
use crate::caller::Caller;
use crate::clock;
use crate::fail::Fail;
use crate::functions::auth;
use crate::registry::Request;
use crate::store::retried;
use crate::ui;
use axum::Extension;
use axum::extract::{Form, Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use chatroom_protocol::{Kind, Refusal};
use serde::Deserialize;
use serde_json::json;

const STYLE: &str = include_str!("style.css");
const TO_CHATROOM: &str = "<p><a href=\"/\">Open chatroom</a></p>";
const CODE_FORM: &str = "<form method=\"get\" action=\"/device\"><label>Code shown on the machine <input name=\"code\" \
    autocomplete=\"off\" required autofocus></label><button>Continue</button></form>";

#[derive(Deserialize)]
pub(super) struct DeviceQuery {
    #[serde(default)]
    code: String,
}

#[derive(Deserialize)]
pub(super) struct Decision {
    user_code: String,
    decision: String,
}

/// In the colours that were chosen in the page's settings, or as the system has them.
pub(super) async fn style(headers: HeaderMap) -> Response {
    let headers_of = [
        (header::CONTENT_TYPE, "text/css; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::VARY, "Cookie"),
    ];
    (headers_of, in_colours(cookie(&headers, "chatroom-colours"))).into_response()
}

fn in_colours(chosen: Option<&str>) -> String {
    let (scheme, dark_when) = match chosen {
        Some("dark") => ("dark", "@media all"),
        Some("light") => ("light", "@media not all"),
        _ => return STYLE.to_owned(),
    };
    STYLE
        .replace("color-scheme: light dark", &format!("color-scheme: {scheme}"))
        .replace("@media (prefers-color-scheme: dark)", dark_when)
}

/// What stands where there is no page.
pub(super) fn nowhere() -> Response {
    page(StatusCode::NOT_FOUND, "There is no such page", TO_CHATROOM)
}

/// The page, which finds out by itself who is signed in. Without it, what can be done instead.
pub(super) async fn home(State(web): State<Web>, headers: HeaderMap) -> Response {
    if let Some(document) = ui::document() {
        return document;
    }
    match signed_in(&web, &headers).await {
        Ok(Some((_, name))) => page(
            StatusCode::OK,
            "Signed in",
            &format!(
                "<p>You are signed in as <b>{}</b>.</p>
                 <p>This program was built without its page: <code>make up</code> builds it with one, and needs Node.js with npm.
                 Everything works from the command line: <code>chatroom machine list</code>, <code>chatroom room list</code>,
                 <code>chatroom agent list</code>.</p>
                 <p><a href=\"/device\">Approve a machine's login</a></p>
                 <form method=\"post\" action=\"/sign-out\"><button>Sign out</button></form>",
                escape(&name)
            ),
        ),
        Ok(None) => to_sign_in(None),
        Err(refusal) => refused(&refusal),
    }
}

pub(super) async fn asset(Path(name): Path<String>) -> Response {
    ui::asset(&format!("assets/{name}")).unwrap_or_else(|| StatusCode::NOT_FOUND.into_response())
}

pub(super) async fn icon() -> Response {
    ui::asset("icon.svg").unwrap_or_else(|| StatusCode::NOT_FOUND.into_response())
}

/// A look at the link uses nothing up: only the button does, so that a preview of the link does not.
pub(super) async fn link(State(web): State<Web>, Path(_): Path<String>) -> Response {
    page(
        StatusCode::OK,
        "Sign in to chatroom",
        &format!(
            "<p>This link signs this browser in to chatroom at <b>{}</b>, once. From then on this browser can act as you:
             start agents on your machines, speak to them, and read what they did.</p>
             <form method=\"post\"><button>Sign in</button></form>",
            escape(&web.app.public_url)
        ),
    )
}

pub(super) async fn redeem_link(
    State(web): State<Web>,
    Extension(Address(address)): Extension<Address>,
    headers: HeaderMap,
    Path(token): Path<String>,
) -> Response {
    let now = clock::now();
    let redeemed = retried(|| async {
        let mut tx = web.app.store.write().await?;
        let secret = auth::redeem_link(&mut tx, &token, address, now).await?;
        tx.commit().await?;
        Ok::<_, Fail>(secret)
    });
    match redeemed.await {
        Ok(Some(secret)) => keep_session(&web, Redirect::to("/").into_response(), &secret),
        Ok(None) => match signed_in(&web, &headers).await {
            Ok(Some((_, name))) => page(
                StatusCode::GONE,
                "You are signed in already",
                &format!(
                    "<p>This link was used before, or it is too old; this browser does not need it: it is signed in as
                     <b>{}</b>.</p>{TO_CHATROOM}",
                    escape(&name)
                ),
            ),
            _ => page(
                StatusCode::GONE,
                "This link has ended",
                "<p>It was used before, or it is too old. A signed-in CLI makes a new one: <code>chatroom auth link</code>.
                 <code>chatroom up</code> prints one at each start, and so does <code>chatroom server --sign-in-link</code>.</p>",
            ),
        },
        Err(fail) => refused(&fail.into_refusal("auth.redeemLink")),
    }
}

pub(super) async fn device(
    State(web): State<Web>,
    Extension(address): Extension<Address>,
    headers: HeaderMap,
    Query(query): Query<DeviceQuery>,
) -> Response {
    let caller = match signed_in(&web, &headers).await {
        Ok(Some((caller, _))) => caller,
        Ok(None) => return to_sign_in(None),
        Err(refusal) => return refused(&refusal),
    };
    if query.code.is_empty() {
        return page(StatusCode::OK, "Approve a machine's login", &format!("{CODE_FORM}{TO_CHATROOM}"));
    }
    // A page that shows what a code stands for is a page to guess codes on.
    let (now, source) = (clock::now(), caller.actor());
    if let Err(refusal) = web.app.guesses.check(&source, now) {
        return not_approved(&refusal);
    }
    let request = Request { caller, address: address.0, args: json!({"userCode": query.code}), replay_key: None };
    let found = web.app.call("auth.getDeviceLogin", Some(Kind::Query), &request).await;
    if found.is_err() {
        web.app.guesses.missed(&source, now);
    }
    match found {
        Ok(login) => {
            let text = |field: &str| escape(login[field].as_str().unwrap_or_default());
            let asked =
                clock::now().since(chatroom_protocol::UnixMs(login["requestedAt"].as_i64().unwrap_or(0))) / 1000;
            page(
                StatusCode::OK,
                "Approve this login?",
                &format!(
                    "<p>A machine asks to act as you: it could start agents on all of your machines.
                     Approve only what you have just begun yourself.</p>
                     <dl><dt>Machine</dt><dd>{}</dd><dt>Address</dt><dd>{}</dd><dt>Asked</dt><dd>{asked} seconds ago</dd>
                     <dt>Code</dt><dd><code>{}</code></dd><dt>State</dt><dd>{}</dd></dl>
                     <form method=\"post\" action=\"/device/decide\"><input type=\"hidden\" name=\"user_code\" value=\"{}\">
                     <button name=\"decision\" value=\"approve\">Approve</button>
                     <button name=\"decision\" value=\"deny\" class=\"quiet\">Refuse</button></form>",
                    text("machineName"),
                    text("address"),
                    text("userCode"),
                    text("status"),
                    text("userCode"),
                ),
            )
        }
        Err(refusal) => not_approved(&refusal),
    }
}

pub(super) async fn decide_device(
    State(web): State<Web>,
    Extension(address): Extension<Address>,
    headers: HeaderMap,
    Form(decision): Form<Decision>,
) -> Response {
    let caller = match signed_in(&web, &headers).await {
        Ok(Some((caller, _))) => caller,
        Ok(None) => return to_sign_in(None),
        Err(refusal) => return refused(&refusal),
    };
    let approve = decision.decision == "approve";
    let function = if approve { "auth.approveDeviceLogin" } else { "auth.denyDeviceLogin" };
    let args = json!({"userCode": decision.user_code});
    let request = Request { caller, address: address.0, args, replay_key: None };
    match web.app.call(function, Some(Kind::Mutation), &request).await {
        Ok(_) if approve => page(StatusCode::OK, "Approved", &format!("<p>The machine is signed in.</p>{TO_CHATROOM}")),
        Ok(_) => page(StatusCode::OK, "Refused", &format!("<p>The machine was not signed in.</p>{TO_CHATROOM}")),
        Err(refusal) => not_approved(&refusal),
    }
}

pub(super) async fn sign_out(State(web): State<Web>, headers: HeaderMap) -> Response {
    if let Ok(Some((caller, _))) = signed_in(&web, &headers).await {
        let request = Request { caller, address: None, args: json!({}), replay_key: None };
        if let Err(refusal) = web.app.call("auth.logout", Some(Kind::Mutation), &request).await {
            return refused(&refusal);
        }
    }
    set_cookie(&web, Redirect::to("/").into_response(), "", 0)
}

/// Gives the browser its session with this answer.
pub(super) fn keep_session(web: &Web, response: Response, secret: &str) -> Response {
    set_cookie(web, response, secret, 90 * 24 * 60 * 60)
}

pub(super) async fn signed_in(web: &Web, headers: &HeaderMap) -> Result<Option<(Caller, String)>, Refusal> {
    let Some(secret) = cookie(headers, cookie_name(web)) else { return Ok(None) };
    let caller = web.app.caller(secret).await.map_err(|error| Fail::from(error).into_refusal("sign-in"))?;
    Ok(match caller.clone() {
        Caller::User { user_name, .. } => Some((caller, user_name)),
        _ => None,
    })
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers.get(header::COOKIE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    cookies.split(';').find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

fn is_https(web: &Web) -> bool {
    web.app.public_url.starts_with("https://")
}

/// Browsers accept the `__Host-` prefix only from https, which binds the cookie to this very host.
fn cookie_name(web: &Web) -> &'static str {
    if is_https(web) { "__Host-chatroom" } else { "chatroom" }
}

fn set_cookie(web: &Web, mut response: Response, secret: &str, max_age_s: i64) -> Response {
    let secure = if is_https(web) { "; Secure" } else { "" };
    let cookie = format!("{}={secret}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age_s}{secure}", cookie_name(web));
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// How to sign in, where one wanted to go; after a try, with what came of it.
pub(super) fn to_sign_in(tried: Option<&Refusal>) -> Response {
    let (status, why) = match tried {
        None => (StatusCode::UNAUTHORIZED, String::new()),
        Some(refusal) => (status_of(refusal), format!("<div role=\"alert\">{}</div>", told(refusal))),
    };
    page(
        status,
        "Not signed in",
        &format!(
            "{why}<form method=\"post\"><label>Name <input name=\"name\" autocomplete=\"username\" autocapitalize=\"none\"
             required></label><label>Password <input name=\"password\" type=\"password\" autocomplete=\"current-password\"
             required></label><button>Sign in</button></form>
             <p>No password yet, or forgotten? Open the sign-in link that <code>chatroom up</code> printed, or make a new one on a
             machine that is signed in: <code>chatroom auth link</code>. Where only the server runs,
             <code>chatroom server --sign-in-link</code> prints one at its start.</p>"
        ),
    )
}

fn refused(refusal: &Refusal) -> Response {
    page(status_of(refusal), "That did not work", &told(refusal))
}

fn status_of(refusal: &Refusal) -> StatusCode {
    StatusCode::from_u16(refusal.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Why a machine's login was not found or not decided, and where one tries again.
fn not_approved(refusal: &Refusal) -> Response {
    page(status_of(refusal), "That did not work", &format!("{}{CODE_FORM}{TO_CHATROOM}", told(refusal)))
}

fn told(refusal: &Refusal) -> String {
    let hint = refusal.hint.as_deref().map(|hint| format!("<p>{}</p>", sentence(hint))).unwrap_or_default();
    format!("<p>{}</p>{hint}", sentence(&refusal.message))
}

/// What the server says in a fragment, as a sentence; what stands between backticks is code.
fn sentence(text: &str) -> String {
    let mut first = text.chars();
    let begun: String = first.next().map(|letter| letter.to_uppercase().chain(first).collect()).unwrap_or_default();
    let end = if begun.ends_with(['.', '!', '?', ':']) { "" } else { "." };
    let parts: Vec<&str> = begun.split('`').collect();
    // A backtick without its other half is only a backtick.
    if parts.len().is_multiple_of(2) {
        return escape(&begun) + end;
    }
    let told = parts.iter().enumerate().map(|(at, part)| match at % 2 {
        0 => escape(part),
        _ => format!("<code>{}</code>", escape(part)),
    });
    told.collect::<String>() + end
}

fn page(status: StatusCode, title: &str, body: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{title} · chatroom</title>
         <link rel=\"icon\" href=\"/icon.svg\" type=\"image/svg+xml\"><link rel=\"stylesheet\" href=\"/style.css\"></head><body><main><h1>{title}</h1>{body}</main></body></html>"
    );
    (status, Html(html)).into_response()
}

/// Text of others as text: what would be markup is not, and what hides or turns the direction of writing around is shown.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' => {
                escaped.push_str(&format!("‹U+{:04X}›", u32::from(character)));
            }
            control if control.is_control() => escaped.push_str(&format!("‹U+{:04X}›", u32::from(control))),
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::{escape, in_colours, sentence};

    #[test]
    fn what_the_server_says_becomes_a_sentence() {
        assert_eq!(
            sentence("run `chatroom auth login` & approve"),
            "Run <code>chatroom auth login</code> &amp; approve."
        );
        assert_eq!(sentence("a lone ` stays."), "A lone ` stays.");
    }

    #[test]
    fn chosen_colours_count_more_than_those_of_the_system() {
        assert!(in_colours(None).contains("prefers-color-scheme"));
        for chosen in ["dark", "light"] {
            let style = in_colours(Some(chosen));
            assert!(style.contains(&format!("color-scheme: {chosen};")), "{style}");
            assert!(!style.contains("prefers-color-scheme"), "{style}");
        }
    }

    #[test]
    fn what_a_machine_calls_itself_is_shown_and_does_nothing() {
        assert_eq!(escape("<b>\"lap'top\" & co"), "&lt;b&gt;&quot;lap&#39;top&quot; &amp; co");
        assert_eq!(escape("user\u{202e}exe.\u{1b}[2J\n"), "user‹U+202E›exe.‹U+001B›[2J‹U+000A›");
        assert_eq!(escape("Größe 大 א"), "Größe 大 א");
    }
}
