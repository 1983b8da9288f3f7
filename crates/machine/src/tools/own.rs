//! `tools.toml`: tools that the owner of a machine describes. This program only reads it.
//!
//! The server can name such a tool, never describe one: what is run stands in this file alone. A file that is wrong hides none
//! of the built-in tools; what is wrong with it is said with file and line.

use super::registry::{self, AgentSpec, ModelChoice, ToolSpec};
use crate::agent::run_dir::OutputFormat;
use crate::config::ConfigError;
use crate::home::Home;
use chatroom_protocol::transcript::DriverKind;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// How many tools the file may describe.
const MOST: usize = 32;

/// Every tool that this machine may know: the built-in ones and its owner's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tools {
    own: Vec<ToolSpec>,
    fault: Option<String>,
}

impl Tools {
    /// Reads `tools.toml`. What is wrong with it is kept as [`Self::fault`]; then only the built-in tools are there.
    #[must_use]
    pub fn load(home: &Home) -> Self {
        match load(home) {
            Ok(own) => Self { own, fault: None },
            Err(error) => Self { own: Vec::new(), fault: Some(words_of(&error)) },
        }
    }

    /// What is wrong with the file, with its name and the line.
    #[must_use]
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// Every tool, the built-in ones first.
    pub fn iter(&self) -> impl Iterator<Item = &ToolSpec> {
        registry::all().iter().chain(&self.own)
    }

    /// A tool by its name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&ToolSpec> {
        self.iter().find(|spec| spec.name == name)
    }

    /// The owner's tools.
    #[must_use]
    pub fn own(&self) -> &[ToolSpec] {
        &self.own
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    tool: Vec<Described>,
}

/// One tool as its owner describes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Described {
    name: Spanned<String>,
    title: Option<Spanned<String>>,
    command: Spanned<Command>,
    #[serde(default)]
    args: Vec<Spanned<String>>,
    driver: DriverKind,
    #[serde(default)]
    output: Option<Spanned<OutputFormat>>,
    #[serde(default)]
    resume_args: Vec<Spanned<String>>,
    #[serde(default = "version_args")]
    version_args: Vec<Spanned<String>>,
    #[serde(default)]
    model_flag: Option<Spanned<String>>,
    #[serde(default)]
    env_pass: Vec<Spanned<String>>,
    #[serde(default)]
    env: BTreeMap<Spanned<String>, Spanned<String>>,
    #[serde(default)]
    login: Option<Spanned<String>>,
    #[serde(default)]
    mcp: Option<bool>,
}

/// An absolute path, or names of programs to search for, best first.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "an absolute path, the name of a program, or a list of names")]
enum Command {
    One(String),
    Any(Vec<String>),
}

fn version_args() -> Vec<Spanned<String>> {
    vec![Spanned::new(0..0, "--version".to_owned())]
}

/// What is wrong, and where in the text.
type Fault = (Range<usize>, String);

fn load(home: &Home) -> Result<Vec<ToolSpec>, ConfigError> {
    let path = home.tools_toml();
    match std::fs::read_to_string(&path) {
        Ok(text) => parse(&text, &path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(ConfigError::Unreadable { path, source }),
    }
}

/// Reads the text of a `tools.toml`; `path` is for messages.
fn parse(text: &str, path: &Path) -> Result<Vec<ToolSpec>, ConfigError> {
    let wrong = |(span, message): Fault| ConfigError::Wrong {
        path: path.to_owned(),
        line: text.as_bytes()[..span.start.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1,
        message,
    };
    let file: File = toml::from_str(text)
        .map_err(|error| wrong((error.span().unwrap_or(0..0), error.message().trim().to_owned())))?;
    let mut tools: Vec<ToolSpec> = Vec::new();
    for described in file.tool {
        let span = described.name.span();
        let spec = spec_of(described).map_err(wrong)?;
        if tools.iter().any(|other| other.name == spec.name) {
            return Err(wrong((span, format!("the tool `{}` is described twice", spec.name))));
        }
        if tools.len() >= MOST {
            return Err(wrong((span, format!("more than {MOST} tools are described"))));
        }
        tools.push(spec);
    }
    Ok(tools)
}

fn spec_of(described: Described) -> Result<ToolSpec, Fault> {
    let name = name_of(&described.name)?;
    for text in described.args.iter().chain(&described.resume_args).chain(&described.version_args) {
        plain(text)?;
    }
    for text in [&described.title, &described.login, &described.model_flag].into_iter().flatten() {
        plain(text)?;
        if text.get_ref().is_empty() {
            return Err((text.span(), "this is empty; leave it out instead".to_owned()));
        }
    }
    let (program, binaries) = program_of(&described.command)?;
    let model = match &described.model_flag {
        Some(flag) if !flag.get_ref().starts_with('-') => {
            return Err((flag.span(), format!("`{}` is no flag: it begins with `-`", flag.get_ref())));
        }
        Some(flag) => ModelChoice::Flag(flag.get_ref().clone()),
        None => match described.driver {
            DriverKind::Acp => ModelChoice::Protocol,
            DriverKind::Claude => ModelChoice::Flag("--model=".to_owned()),
            DriverKind::OneShot => ModelChoice::Never,
        },
    };
    let is_one_shot = described.driver == DriverKind::OneShot;
    if let Some(output) = described.output.as_ref().filter(|_| !is_one_shot) {
        return Err((output.span(), "only a tool with driver = \"one-shot\" has an output".to_owned()));
    }
    if let Some(arg) = described.resume_args.first().filter(|_| !is_one_shot) {
        return Err((arg.span(), "only a tool with driver = \"one-shot\" needs resume_args".to_owned()));
    }
    for variable in &described.env_pass {
        let stem = variable.get_ref().strip_suffix('*').unwrap_or(variable.get_ref());
        if !is_variable(stem) {
            let message =
                format!("`{}` is neither the name of a variable nor a beginning like `MY_*`", variable.get_ref());
            return Err((variable.span(), message));
        }
    }
    let mut set = Vec::new();
    for (variable, value) in described.env {
        if !is_variable(variable.get_ref()) {
            return Err((variable.span(), format!("`{}` is no name of a variable", variable.get_ref())));
        }
        if variable.get_ref().starts_with("CHATROOM_") || variable.get_ref() == "PATH" {
            let message = format!("`{}` is set by the daemon and cannot be set here", variable.get_ref());
            return Err((variable.span(), message));
        }
        plain(&value)?;
        set.push((variable.into_inner(), value.into_inner()));
    }
    let texts = |texts: Vec<Spanned<String>>| texts.into_iter().map(Spanned::into_inner).collect::<Vec<String>>();
    let base = match described.driver {
        DriverKind::Acp => AgentSpec::acp(&[]),
        DriverKind::OneShot => AgentSpec::one_shot(&[], described.output.map(Spanned::into_inner).unwrap_or_default()),
        // What speaks as Claude Code does takes its arguments, too.
        DriverKind::Claude => claude(),
    };
    let mut agent = AgentSpec { model, ..base };
    if is_one_shot {
        agent.resume_args = texts(described.resume_args);
    }
    agent.args.extend(texts(described.args));
    agent.set.extend(set);
    if !described.mcp.unwrap_or(agent.mcp) {
        agent.mcp = false;
        agent.quirk = None;
    }
    Ok(ToolSpec {
        title: described.title.map_or_else(|| name.clone(), Spanned::into_inner),
        binaries,
        program,
        version_args: texts(described.version_args),
        login: described.login.map(Spanned::into_inner),
        env: texts(described.env_pass),
        agent: Some(agent),
        is_own: true,
        ..ToolSpec::named(&name, "")
    })
}

fn claude() -> AgentSpec {
    let claude = registry::find("claude").and_then(|spec| spec.agent.clone());
    claude.unwrap_or_else(|| AgentSpec { driver: DriverKind::Claude, ..AgentSpec::acp(&[]) })
}

fn name_of(name: &Spanned<String>) -> Result<String, Fault> {
    let text = name.get_ref();
    let is_plain = text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if !is_plain {
        let message =
            format!("`{text}` is no name for a tool: 1 to 64 small letters, digits and `-`, not `-` at the beginning");
        return Err((name.span(), message));
    }
    if registry::find(text).is_some() {
        let message = format!(
            "chatroom has a tool `{text}` of its own: choose another name (another program for that tool is named in config.toml)"
        );
        return Err((name.span(), message));
    }
    Ok(text.clone())
}

fn program_of(command: &Spanned<Command>) -> Result<(Option<PathBuf>, Vec<String>), Fault> {
    let fault = |message: String| Err((command.span(), message));
    let names = match command.get_ref() {
        Command::One(text) if Path::new(text).is_absolute() && !text.contains('\0') => {
            return Ok((Some(PathBuf::from(text)), Vec::new()));
        }
        Command::One(text) => std::slice::from_ref(text),
        Command::Any(names) => names.as_slice(),
    };
    if names.is_empty() {
        return fault("no command is named".to_owned());
    }
    match names.iter().find(|name| name.is_empty() || name.contains(['/', '\0']) || name.starts_with('.')) {
        Some(name) => fault(format!("`{name}` is neither an absolute path nor the plain name of a program")),
        None => Ok((None, names.to_vec())),
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Refuses what no argument, variable or line for people may hold.
fn plain(text: &Spanned<String>) -> Result<(), Fault> {
    match text.get_ref().chars().find(|c| c.is_control()) {
        Some(_) => Err((text.span(), "there is a control character in it".to_owned())),
        None => Ok(()),
    }
}

/// An error with what is behind it.
fn words_of(error: &ConfigError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<ToolSpec>, String> {
        parse(text, Path::new("/h/tools.toml")).map_err(|error| error.to_string())
    }

    const FULL: &str = r#"
[[tool]]
name = "house-agent"
title = "House agent"
command = "/opt/house/agent"
args = ["serve", "--acp"]
driver = "acp"
version_args = ["version"]
env_pass = ["HOUSE_*"]
env = { HOUSE_MODE = "quiet" }
login = "house login"

[[tool]]
name = "runner"
command = ["runner", "run-er"]
driver = "one-shot"
output = "stream-json"
resume_args = ["--resume={session}"]
model_flag = "-m"
version_args = []
"#;

    #[test]
    fn a_full_file_describes_tools() {
        let tools = read(FULL).unwrap();
        let [house, runner] = tools.as_slice() else { panic!("{tools:?}") };
        assert_eq!(house.program.as_deref(), Some(Path::new("/opt/house/agent")));
        assert_eq!((house.title.as_str(), house.login.as_deref()), ("House agent", Some("house login")));
        let agent = house.agent.as_ref().unwrap();
        assert_eq!((agent.driver, agent.asks, agent.mcp), (DriverKind::Acp, true, true));
        assert_eq!(agent.args, ["serve", "--acp"]);
        assert_eq!(agent.set, [("HOUSE_MODE".to_owned(), "quiet".to_owned())]);
        assert_eq!(
            (house.version_args.as_slice(), house.env.as_slice()),
            (&["version".to_owned()][..], &["HOUSE_*".to_owned()][..])
        );

        assert_eq!((runner.binaries.len(), runner.title.as_str(), runner.is_own), (2, "runner", true));
        let agent = runner.agent.as_ref().unwrap();
        assert_eq!((agent.driver, agent.asks, agent.output), (DriverKind::OneShot, false, OutputFormat::StreamJson));
        assert_eq!(agent.model, ModelChoice::Flag("-m".to_owned()));
        assert_eq!(agent.resume_args, ["--resume={session}"]);
    }

    #[test]
    fn what_is_wrong_is_said_with_file_and_line() {
        let tool = |rest: &str| format!("\n[[tool]]\nname = \"mine\"\ncommand = \"mine\"\ndriver = \"acp\"\n{rest}\n");
        for (text, line, words) in [
            (tool("arg = []"), 6, "unknown field `arg`"),
            (tool("env = { PATH = \"/x\" }"), 6, "set by the daemon"),
            (tool("env = { CHATROOM_HOME = \"/x\" }"), 6, "set by the daemon"),
            (tool("env_pass = [\"A\",\n \"b-c\"]"), 7, "`b-c` is neither"),
            (tool("args = [\"a\\nb\"]"), 6, "control character"),
            (tool("model_flag = \"model\"]"), 6, ""),
            (tool("model_flag = \"model\""), 6, "no flag"),
            (tool("output = \"plain\""), 6, "one-shot"),
            (tool("resume_args = [\"x\"]"), 6, "needs resume_args"),
            (tool("login = \"\""), 6, "empty"),
            (tool("").replace("acp", "tty"), 5, "tty"),
            (tool("").replace("\"mine\"\ncommand", "\"Mine\"\ncommand"), 3, "no name for a tool"),
            (tool("").replace("\"mine\"\ncommand", "\"claude\"\ncommand"), 3, "has a tool `claude` of its own"),
            (tool("").replace("= \"mine\"\ndriver", "= \"bin/mine\"\ndriver"), 4, "neither an absolute path"),
            (tool("").replace("= \"mine\"\ndriver", "= []\ndriver"), 4, "no command"),
            (tool("").replace("= \"mine\"\ndriver", "= 5\ndriver"), 4, "an absolute path, the name"),
            (format!("{}{}", tool(""), tool("")), 9, "described twice"),
            ("[tool]\n".to_owned(), 1, ""),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.starts_with(&format!("/h/tools.toml:{line}: ")) && error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn a_missing_file_is_no_fault_and_a_broken_one_hides_no_built_in_tool() {
        let root = tempfile::tempdir().unwrap();
        let home = Home::at(root.path());
        assert_eq!(Tools::load(&home), Tools::default());
        std::fs::write(home.tools_toml(), FULL).unwrap();
        let tools = Tools::load(&home);
        assert!(tools.find("house-agent").is_some() && tools.find("claude").is_some() && tools.fault().is_none());
        std::fs::write(home.tools_toml(), "[[tool]]\nname = 5\n").unwrap();
        let tools = Tools::load(&home);
        assert!(tools.find("house-agent").is_none() && tools.find("claude").is_some());
        assert!(tools.fault().unwrap().contains("tools.toml:2: "), "{:?}", tools.fault());
    }
}
