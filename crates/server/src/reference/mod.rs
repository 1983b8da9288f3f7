//! The reference: what the registry tells about every function, as OpenAPI and as TypeScript. Made from the schemas of the
//! typed arguments and answers, so that it cannot say anything else than what the server does.

mod examples;
pub mod openapi;
pub mod typescript;

use crate::registry::Registry;
use chatroom_protocol::{Callers, Kind, Refusal};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// Where the schemas of named types stand in the OpenAPI document.
const DEFINITIONS: &str = "/components/schemas";

/// Every function with its schemas.
#[derive(Clone, Debug)]
pub struct Reference {
    /// By name.
    pub functions: Vec<Described>,
    /// The named types that answers are made of.
    pub types: Map<String, Value>,
}

/// One function.
#[derive(Clone, Debug)]
pub struct Described {
    /// `machines`.
    pub module: &'static str,
    /// `listMachines`.
    pub function: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Query or mutation.
    pub kind: Kind,
    /// Who may call it.
    pub callers: Callers,
    /// Whether its answer holds a secret: not over the live channel, never recorded.
    pub secret: bool,
    /// The schema of the arguments, with everything that they are made of.
    pub args: Value,
    /// The schema of the answer; named types are references.
    pub output: Value,
    /// Arguments that the function takes.
    pub example: Value,
}

impl Reference {
    /// Describes every function of a registry.
    #[must_use]
    pub fn new(registry: &Registry) -> Self {
        // What callers write is described as it is read (fields with a default may be left out), what they get as it is
        // written. A type that goes both ways has two schemas; only the one of answers gets a name.
        let settings = || {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = DEFINITIONS.into();
                settings.meta_schema = None;
            })
        };
        let mut inputs = settings().with(|settings| settings.inline_subschemas = true).into_generator();
        let mut outputs = settings().for_serialize().into_generator();
        let functions = registry.entries().map(|entry| {
            let (module, function) = entry.name.split_once('.').unwrap_or((entry.name, "default"));
            let mut args = without_titles((entry.args_schema)(&mut inputs).to_value());
            if entry.kind == Kind::Mutation && !entry.secret {
                take_idempotency_key(&mut args);
            }
            Described {
                module,
                function,
                summary: entry.summary,
                kind: entry.kind,
                callers: entry.callers,
                secret: entry.secret,
                args,
                output: without_nulls(without_titles((entry.output_schema)(&mut outputs).to_value())),
                example: examples::args_of(entry.name),
            }
        });
        let functions = functions.collect();
        outputs.subschema_for::<Refusal>();
        Self { functions, types: take_types(&mut outputs) }
    }
}

impl Described {
    /// `machines.listMachines`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}.{}", self.module, self.function)
    }
}

fn take_types(generator: &mut SchemaGenerator) -> Map<String, Value> {
    let types = generator.take_definitions(true);
    types.into_iter().map(|(name, schema)| (name, without_nulls(without_titles(schema)))).collect()
}

/// Any mutation takes this beside its own arguments.
fn take_idempotency_key(args: &mut Value) {
    args["properties"]["idempotencyKey"] = json!({
        "type": "string",
        "minLength": 1,
        "maxLength": 200,
        "description": "Names this call: repeated with the same key and arguments it takes effect once, and the answer is the \
            first one. With other arguments it is refused.",
    });
}

/// The names of Rust types say nothing to a caller of the API.
fn without_titles(mut schema: Value) -> Value {
    walk(&mut schema, &mut |schema| {
        schema.remove("title");
    });
    schema
}

/// A field of an answer that may be left out is never null: it is left out.
fn without_nulls(mut schema: Value) -> Value {
    walk(&mut schema, &mut |schema| {
        let required: Vec<String> =
            schema.get("required").and_then(|names| serde_json::from_value(names.clone()).ok()).unwrap_or_default();
        let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
        for (name, field) in properties.iter_mut() {
            if !required.contains(name) {
                never_null(field);
            }
        }
    });
    schema
}

fn never_null(field: &mut Value) {
    let Some(field) = field.as_object_mut() else { return };
    if let Some(Value::Array(types)) = field.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            field.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(choices)) = field.get_mut("anyOf") {
        choices.retain(|choice| choice["type"] != "null");
        if let [Value::Object(only)] = choices.as_slice() {
            let only = only.clone();
            field.remove("anyOf");
            field.extend(only);
        }
    }
}

/// Visits a schema and every schema in it.
fn walk(schema: &mut Value, visit: &mut impl FnMut(&mut Map<String, Value>)) {
    let Value::Object(object) = schema else { return };
    visit(object);
    for (keyword, inner) in object {
        match (keyword.as_str(), inner) {
            ("properties" | "patternProperties" | "$defs", Value::Object(named)) => {
                named.values_mut().for_each(|schema| walk(schema, visit));
            }
            ("allOf" | "anyOf" | "oneOf" | "prefixItems", Value::Array(list)) => {
                list.iter_mut().for_each(|schema| walk(schema, visit));
            }
            ("items" | "additionalProperties" | "unevaluatedProperties" | "not", inner) => walk(inner, visit),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
