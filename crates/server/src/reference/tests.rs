use super::{DEFINITIONS, Reference, openapi, typescript, walk};
use crate::functions;
use serde_json::{Map, Value};

fn reference() -> Reference {
    Reference::new(&functions::registry())
}

#[test]
fn every_function_of_the_protocol_has_a_path_and_an_example_that_it_takes() {
    let registry = functions::registry();
    let document = openapi::document(&reference());
    let names: Vec<&str> = chatroom_protocol::api::all_names().collect();
    assert_eq!(document["paths"].as_object().unwrap().len(), names.len());
    for name in names {
        let operation = &document["paths"][format!("/api/run/{}", name.replace('.', "/"))]["post"];
        assert_eq!(operation["operationId"], name.replace('.', "_"));
        let body = &operation["requestBody"]["content"]["application/json"];
        let example = body["example"]["args"].clone();
        registry.find(name).unwrap().check_args(example.clone()).unwrap_or_else(|fail| panic!("{name}: {fail:?}"));
        let schema = &body["schema"]["properties"]["args"];
        let required = schema["required"].as_array().into_iter().flatten();
        for field in required {
            assert!(example.get(field.as_str().unwrap()).is_some(), "the example of {name} lacks {field}");
        }
        for field in example.as_object().unwrap().keys() {
            let text = schema.to_string();
            assert!(text.contains(&format!("\"{field}\"")), "the example of {name} has {field}, its schema does not");
        }
    }
}

#[test]
fn every_reference_has_its_type_and_no_type_has_a_made_up_name() {
    let reference = reference();
    let text = openapi::document(&reference).to_string();
    for part in text.split("\"$ref\":\"").skip(1) {
        let target = part.split('"').next().unwrap();
        let name = target.strip_prefix(&format!("#{DEFINITIONS}/")).unwrap_or_else(|| panic!("{target}"));
        assert!(reference.types.contains_key(name), "{name}");
    }
    for name in reference.types.keys() {
        // A second type of the same name gets a number.
        assert!(!name.ends_with(|last: char| last.is_ascii_digit()), "two types of answers share the name of {name}");
    }
}

#[test]
fn answers_have_only_field_names_that_convex_clients_accept() {
    let mut reference = reference();
    let check = |place: &str, schema: &mut Value| {
        walk(schema, &mut |schema: &mut Map<String, Value>| {
            for name in schema.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::keys) {
                let accepted = name.bytes().all(|byte| (32..127).contains(&byte)) && !name.starts_with('$');
                assert!(accepted && name.len() <= 1024, "{place}: field {name:?}");
            }
            // Keys that a caller chooses could be any text.
            for keyword in ["patternProperties", "propertyNames"] {
                assert!(!schema.contains_key(keyword), "{place} has {keyword}");
            }
            for keyword in ["additionalProperties", "unevaluatedProperties"] {
                let open = schema.get(keyword).is_some_and(|inner| *inner != Value::Bool(false));
                assert!(!open, "{place} has {keyword}");
            }
            // What can be anything can be an object with any key.
            let says = ["type", "properties", "$ref", "const", "enum", "oneOf", "anyOf", "allOf"];
            assert!(says.iter().any(|keyword| schema.contains_key(*keyword)), "{place} can be anything: {schema:?}");
        });
    };
    for (name, schema) in &mut reference.types {
        check(name, schema);
    }
    for described in &mut reference.functions {
        check(described.function, &mut described.output);
    }
}

#[test]
fn the_typescript_names_each_function_and_leaves_nothing_unknown() {
    let [(_, types), (_, api)] = typescript::files(&reference());
    assert!(
        api.contains(
            "listMachines: FunctionReference<\"query\", \"public\", t.MachinesListMachinesArgs, t.Machine[]>;"
        )
    );
    assert!(types.contains("export type MachinesListMachinesArgs = Record<string, never>;"));
    for text in [types, api] {
        assert!(!text.contains(": unknown") && !text.contains(" unknown>") && !text.contains("= unknown"), "{text}");
    }
}
