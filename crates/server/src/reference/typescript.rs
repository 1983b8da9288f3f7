//! TypeScript for the page and for users: `types.ts` with every type, and `api.ts` with the `api` object that `convex/react` and
//! the other npm clients take (`useQuery(api.machines.listMachines, {})`).

use super::Reference;
use chatroom_protocol::Kind;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt::Write as _;

const MADE: &str = "// Made by `chatroom generate-typescript` from the functions of the server. Do not edit.\n";

/// The two files, by name.
#[must_use]
pub fn files(reference: &Reference) -> [(&'static str, String); 2] {
    [("types.ts", types(reference)), ("api.ts", api(reference))]
}

fn types(reference: &Reference) -> String {
    let mut text = MADE.to_owned();
    for (name, schema) in reference.types.iter().collect::<BTreeMap<_, _>>() {
        text.push('\n');
        declare(&mut text, name, schema, description(schema));
    }
    for described in &reference.functions {
        text.push('\n');
        let about = format!("Arguments of `{}`.", described.name());
        declare(&mut text, &args_name(described.module, described.function), &described.args, Some(&about));
    }
    text
}

fn api(reference: &Reference) -> String {
    let mut text = MADE.to_owned();
    text.push_str(
        "\nimport { anyApi, type FunctionReference } from \"convex/server\";\nimport type * as t from \"./types\";\n",
    );
    text.push_str("\n/** Every function of the server. */\nexport type Api = {\n");
    let mut module = "";
    for described in &reference.functions {
        if described.module != module {
            if !module.is_empty() {
                text.push_str("  };\n");
            }
            module = described.module;
            let _ = writeln!(text, "  {module}: {{");
        }
        comment(&mut text, 2, Some(described.summary));
        let kind = if described.kind == Kind::Query { "query" } else { "mutation" };
        let output = type_of(&described.output, 2, "t.");
        let args = args_name(module, described.function);
        let _ = writeln!(
            text,
            "    {}: FunctionReference<\"{kind}\", \"public\", t.{args}, {output}>;",
            described.function
        );
    }
    text.push_str(
        "  };\n};\n\n/** Names the functions for `useQuery`, `useMutation` and the other calls of `convex`. */\n",
    );
    text.push_str("export const api = anyApi as unknown as Api;\n");
    text
}

/// `machines`, `rename`: `MachinesRenameArgs`.
fn args_name(module: &str, function: &str) -> String {
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>()).unwrap_or_default()
    };
    format!("{}{}Args", capital(module), capital(function))
}

fn declare(text: &mut String, name: &str, schema: &Value, about: Option<&str>) {
    comment(text, 0, about);
    let _ = writeln!(text, "export type {name} = {};", type_of(schema, 0, ""));
}

fn comment(text: &mut String, depth: usize, about: Option<&str>) {
    let Some(about) = about else { return };
    let indent = "  ".repeat(depth);
    let about = about.replace("*/", "* /");
    let lines: Vec<&str> = about.lines().map(str::trim_end).collect();
    if let [line] = lines.as_slice() {
        let _ = writeln!(text, "{indent}/** {line} */");
        return;
    }
    let _ = writeln!(text, "{indent}/**");
    for line in lines {
        let _ = writeln!(text, "{}", format!("{indent} * {line}").trim_end());
    }
    let _ = writeln!(text, "{indent} */");
}

fn description(schema: &Value) -> Option<&str> {
    schema.get("description").and_then(Value::as_str)
}

/// A schema as a TypeScript type. `scope` stands before the names of named types.
fn type_of(schema: &Value, depth: usize, scope: &str) -> String {
    let Value::Object(schema) = schema else { return "unknown".to_owned() };
    let mut parts = Vec::new();
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        parts.push(format!("{scope}{}", reference.rsplit('/').next().unwrap_or_default()));
    }
    if let Some(value) = schema.get("const") {
        parts.push(value.to_string());
    } else if let Some(Value::Array(values)) = schema.get("enum") {
        parts.push(union(values.iter().map(Value::to_string).collect()));
    } else if let Some(plain) = plain_type(schema, depth, scope) {
        parts.push(plain);
    }
    for keyword in ["oneOf", "anyOf"] {
        if let Some(Value::Array(choices)) = schema.get(keyword) {
            parts.push(union(choices.iter().map(|choice| type_of(choice, depth, scope)).collect()));
        }
    }
    if let Some(Value::Array(all)) = schema.get("allOf") {
        parts.extend(all.iter().map(|part| type_of(part, depth, scope)));
    }
    match parts.as_slice() {
        [] => "unknown".to_owned(),
        [only] => only.clone(),
        several => several
            .iter()
            .map(|part| if is_combined(part) { format!("({part})") } else { part.clone() })
            .collect::<Vec<_>>()
            .join(" & "),
    }
}

fn plain_type(schema: &Map<String, Value>, depth: usize, scope: &str) -> Option<String> {
    let named = |name: &str| match name {
        "string" | "boolean" | "null" => name.to_owned(),
        "integer" | "number" => "number".to_owned(),
        "array" => {
            let item = schema.get("items").map_or_else(|| "unknown".to_owned(), |items| type_of(items, depth, scope));
            if is_combined(&item) { format!("({item})[]") } else { format!("{item}[]") }
        }
        _ => object_type(schema, depth, scope),
    };
    match schema.get("type") {
        Some(Value::String(name)) if name == "object" => {
            // Nothing of its own beside what it is combined with.
            let combined = ["oneOf", "anyOf", "allOf"].iter().any(|keyword| schema.contains_key(*keyword));
            (!combined || schema.contains_key("properties")).then(|| named(name))
        }
        Some(Value::String(name)) => Some(named(name)),
        Some(Value::Array(names)) => Some(union(names.iter().filter_map(Value::as_str).map(named).collect())),
        _ => schema.contains_key("properties").then(|| named("object")),
    }
}

fn object_type(schema: &Map<String, Value>, depth: usize, scope: &str) -> String {
    let Some(Value::Object(properties)) = schema.get("properties") else { return "Record<string, never>".to_owned() };
    let required: Vec<&str> =
        schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    // In one order, whatever order the build of `serde_json` keeps.
    let properties: BTreeMap<&String, &Value> = properties.iter().collect();
    let mut text = "{\n".to_owned();
    for (name, field) in properties {
        comment(&mut text, depth + 1, description(field));
        let optional = if required.contains(&name.as_str()) { "" } else { "?" };
        let _ = writeln!(text, "{}{name}{optional}: {};", "  ".repeat(depth + 1), type_of(field, depth + 1, scope));
    }
    let _ = write!(text, "{}}}", "  ".repeat(depth));
    text
}

/// Whether a type is several ones put together, outside of any braces.
fn is_combined(text: &str) -> bool {
    let mut depth = 0;
    text.chars().any(|letter| {
        match letter {
            '{' | '(' | '<' => depth += 1,
            '}' | ')' | '>' => depth -= 1,
            _ => {}
        }
        depth == 0 && matches!(letter, '|' | '&')
    })
}

fn union(mut choices: Vec<String>) -> String {
    choices.dedup();
    choices.join(" | ")
}
