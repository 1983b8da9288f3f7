//! The OpenAPI 3.1 document of the function API.

use super::{DEFINITIONS, Described, Reference};
use chatroom_protocol::{Callers, ErrorCode, Kind};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const ABOUT: &str = "\
Every function is called by `POST /api/run/{module}/{function}` with `{\"args\": {...}}`. A refused call has the HTTP status that
fits, and says why in `errorMessage` and `errorData`.

The same functions answer official Convex clients (npm, crates.io, PyPI), where queries are live: `module:function` is the
path. `docs/API.md` shows how to connect each of them.";

/// Makes the document.
#[must_use]
pub fn document(reference: &Reference) -> Value {
    let mut modules: Vec<&str> = reference.functions.iter().map(|described| described.module).collect();
    modules.dedup();
    let paths: Map<String, Value> = reference
        .functions
        .iter()
        .map(|described| {
            let path = format!("/api/run/{}/{}", described.module, described.function);
            (path, json!({"post": operation(described)}))
        })
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "chatroom",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Run AI coding agents on all your machines from one place you host yourself.",
            "description": ABOUT,
        },
        "servers": [{"url": "/"}],
        "tags": modules.iter().map(|module| json!({"name": module})).collect::<Vec<_>>(),
        "paths": paths,
        "components": {
            "schemas": reference.types,
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An opaque token: `chatroom auth token --name=NAME` makes one.",
                },
            },
        },
    })
}

fn operation(described: &Described) -> Value {
    let mut operation = json!({
        "operationId": format!("{}_{}", described.module, described.function),
        "tags": [described.module],
        "summary": described.summary,
        "description": description(described),
        "requestBody": {
            "required": true,
            "content": {"application/json": {
                "schema": {
                    "type": "object",
                    "required": ["args"],
                    "properties": {
                        "args": described.args,
                        "format": {
                            "description": "How the answer writes its numbers: as JSON does, or each as a float64.",
                            "enum": ["json", "convex_encoded_json"],
                            "default": "json",
                        },
                    },
                },
                "example": {"args": described.example},
            }},
        },
        "responses": responses(described),
        "x-kind": if described.kind == Kind::Query { "query" } else { "mutation" },
    });
    operation["security"] =
        if described.callers.contains(Callers::PUBLIC) { json!([{}, {"bearer": []}]) } else { json!([{"bearer": []}]) };
    operation
}

fn description(described: &Described) -> String {
    let kind = if described.kind == Kind::Query { "Query" } else { "Mutation" };
    let callers: Vec<&str> = [
        (Callers::PUBLIC, "anybody"),
        (Callers::USER, "users"),
        (Callers::MACHINE, "machines, for themselves"),
        (Callers::AGENT, "agents, for their own room and role"),
    ]
    .into_iter()
    .filter_map(|(caller, words)| described.callers.contains(caller).then_some(words))
    .collect();
    let mut text = format!("{kind}; called by {}.", callers.join("; "));
    if described.secret {
        text.push_str(" The answer holds a secret: HTTP only, never recorded, so a repeated call makes a new one.");
    } else if described.kind == Kind::Mutation {
        text.push_str(" Takes `idempotencyKey` beside its arguments: repeated with the same key it takes effect once.");
    }
    text
}

fn responses(described: &Described) -> Map<String, Value> {
    let success = json!({
        "description": "Done.",
        "content": {"application/json": {"schema": {
            "type": "object",
            "required": ["status", "value"],
            "properties": {
                "status": {"const": "success"},
                "value": described.output,
                "logLines": {"type": "array", "items": {"type": "string"}},
            },
        }}},
    });
    let mut by_status: BTreeMap<u16, Vec<ErrorCode>> = BTreeMap::new();
    for code in ErrorCode::ALL {
        if may_refuse_with(described, *code) {
            by_status.entry(code.http_status()).or_default().push(*code);
        }
    }
    let refused = by_status.into_iter().map(|(status, codes)| (status.to_string(), refusal(&codes)));
    std::iter::once(("200".to_owned(), success)).chain(refused).collect()
}

/// Which codes a function can have at all.
fn may_refuse_with(described: &Described, code: ErrorCode) -> bool {
    match code {
        // Of the live channel only.
        ErrorCode::HttpOnly => false,
        ErrorCode::AuthorizationPending | ErrorCode::SlowDown | ErrorCode::AccessDenied | ErrorCode::ExpiredToken => {
            described.module == "auth" && described.function.ends_with("DeviceLogin")
        }
        ErrorCode::Unauthenticated | ErrorCode::Forbidden => !described.callers.contains(Callers::PUBLIC),
        ErrorCode::IdempotencyKeyReused => described.kind == Kind::Mutation && !described.secret,
        _ => true,
    }
}

fn refusal(codes: &[ErrorCode]) -> Value {
    let names: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    let meaning = format!("Refused: `{}`.", names.join("`, `"));
    json!({
        "description": meaning,
        "content": {"application/json": {"schema": {
            "type": "object",
            "required": ["status", "errorMessage", "errorData"],
            "properties": {
                "status": {"const": "error"},
                "errorMessage": {"type": "string", "description": "What happened and why, for a person."},
                "errorData": {"allOf": [
                    {"$ref": format!("#{DEFINITIONS}/Refusal")},
                    {"properties": {"code": {"enum": names}}},
                ]},
                "logLines": {"type": "array", "items": {"type": "string"}},
            },
        }}},
    })
}
