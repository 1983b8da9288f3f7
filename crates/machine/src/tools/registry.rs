//! The table of tools: for each one where it is found, how it is asked, and how it is started as an agent.
//!
//! The built-in tools stand here; a machine's owner adds more in `tools.toml` ([`super::own`]). A tool is words, not code: what
//! a start makes of them is decided by `agent::launch` alone.

use crate::agent::run_dir::OutputFormat;
use chatroom_protocol::tool::PermissionMode;
use chatroom_protocol::transcript::DriverKind;
use std::path::PathBuf;
use std::sync::LazyLock;

/// One agent CLI: how to find it, how to ask it, what it needs, and how it is started as an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolSpec {
    /// Its name in chatroom.
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// Names of its program, best first. Empty for the built-in `echo`.
    pub binaries: Vec<String>,
    /// The program itself, when its owner named it; then nothing is searched.
    pub program: Option<PathBuf>,
    /// Directories where it may be although no PATH names them; `~/` is the user's home, one `*` stands for one name.
    pub places: Vec<String>,
    /// Arguments that make it print its version; empty when it has none to print.
    pub version_args: Vec<String>,
    /// The command that installs it.
    pub install: String,
    /// The command that signs in to it.
    pub login: Option<String>,
    /// How to ask cheaply whether somebody is signed in.
    pub login_check: Option<LoginCheck>,
    /// Environment variables that it needs beside the common ones; `PREFIX_*` means all that begin so.
    pub env: Vec<String>,
    /// How it is started as an agent; none when it can only be detected.
    pub agent: Option<AgentSpec>,
    /// Another program that speaks a protocol for it; used instead of the tool itself when it is installed.
    pub adapter: Option<Box<Adapter>>,
    /// Whether the owner of this machine described it.
    pub is_own: bool,
}

/// How to ask a tool whether somebody is signed in: exit code 0 means yes, 1 means no, everything else nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginCheck {
    /// Arguments.
    pub args: Vec<String>,
    /// Variables that sign in by themselves: with one of them set nothing is asked.
    pub env: Vec<String>,
}

/// How a tool is started as an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentSpec {
    /// How it is spoken to.
    pub driver: DriverKind,
    /// Its arguments.
    pub args: Vec<String>,
    /// What a run prints, when the driver is one shot.
    pub output: OutputFormat,
    /// How a model is chosen.
    pub model: ModelChoice,
    /// Arguments of a new session; `{session}` stands for a UUID that is ours to choose.
    pub new_session_args: Vec<String>,
    /// Arguments that take an earlier session up again; `{session}` stands for its name.
    pub resume_args: Vec<String>,
    /// What is added in a permission mode. A tool that can ask mostly needs nothing: its permissions are answered by mode.
    pub modes: Vec<ModeSpec>,
    /// Variables that are set for it, after everything else.
    pub set: Vec<(String, String)>,
    /// Whether it can ask for permissions.
    pub asks: bool,
    /// Whether its session is given our MCP server.
    pub mcp: bool,
    /// How its models are listed.
    pub models: ModelSource,
    /// What does not fit into words.
    pub quirk: Option<Quirk>,
}

/// What a permission mode adds to a start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModeSpec {
    /// Which mode.
    pub mode: PermissionMode,
    /// Arguments.
    pub args: Vec<String>,
    /// Variables.
    pub set: Vec<(String, String)>,
}

/// How a model is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelChoice {
    /// By this flag: one that ends in `=` makes one word with the model (`--model=NAME`), any other stands before it as a word
    /// of its own (`-m NAME`).
    Flag(String),
    /// By this variable.
    Variable(String),
    /// Over the protocol, once the session stands.
    Protocol,
    /// Not at all.
    Never,
}

/// How the models of a tool are found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelSource {
    /// A session is opened over the tool's protocol, and tells.
    Session,
    /// `codex debug models`.
    CodexCatalogue,
    /// `pi --list-models`.
    PiList,
    /// The tool does not tell.
    Unknown,
}

/// What a start needs that is not a word of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quirk {
    /// OpenCode asks only where its configuration says so; the rules are made for the mode.
    OpenCodeRules,
    /// Claude Code takes the MCP server as an argument.
    ClaudeMcp,
    /// Pi keeps sessions by directory: each agent has its own.
    PiSessions,
}

/// A program that speaks a protocol for a tool that does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adapter {
    /// How it is found and started. It gets the environment of its tool.
    pub spec: ToolSpec,
    /// The variable that tells it where the tool is.
    pub program_variable: String,
}

/// The name of the built-in agent that needs no model.
pub const ECHO: &str = "echo";

/// The hidden subcommand of our own program that is the built-in agent.
pub const ECHO_SUBCOMMAND: &str = "echo-agent";

/// How long a shell command of an agent may take before its tool loses patience, in milliseconds: long enough for a build, and
/// for the bounded wait of `wait-for-task`.
const SHELL_LIMIT_MS: &str = "600000";

/// Every built-in tool, in the order in which they are shown.
#[must_use]
pub fn all() -> &'static [ToolSpec] {
    &TOOLS
}

/// A built-in tool by its name.
#[must_use]
pub fn find(name: &str) -> Option<&'static ToolSpec> {
    TOOLS.iter().find(|spec| spec.name == name)
}

impl ToolSpec {
    /// A tool of which nothing but its names is known.
    #[must_use]
    pub fn named(name: &str, title: &str) -> Self {
        Self {
            name: name.to_owned(),
            title: title.to_owned(),
            binaries: words(&[name]),
            program: None,
            places: Vec::new(),
            version_args: words(&["--version"]),
            install: String::new(),
            login: None,
            login_check: None,
            env: Vec::new(),
            agent: None,
            adapter: None,
            is_own: false,
        }
    }

    /// How it is started as an agent: by its adapter where one is installed, else by itself.
    #[must_use]
    pub fn way(&self, with_adapter: bool) -> Option<&AgentSpec> {
        let adapter = self.adapter.as_ref().filter(|_| with_adapter);
        adapter.and_then(|adapter| adapter.spec.agent.as_ref()).or(self.agent.as_ref())
    }
}

impl AgentSpec {
    /// An agent that is spoken to over the Agent Client Protocol, which it speaks with these arguments.
    #[must_use]
    pub fn acp(args: &[&str]) -> Self {
        Self {
            driver: DriverKind::Acp,
            args: words(args),
            output: OutputFormat::Plain,
            model: ModelChoice::Protocol,
            new_session_args: Vec::new(),
            resume_args: Vec::new(),
            modes: Vec::new(),
            set: Vec::new(),
            asks: true,
            mcp: true,
            models: ModelSource::Session,
            quirk: None,
        }
    }

    /// An agent that is run once for each prompt, which it reads from its standard input.
    #[must_use]
    pub fn one_shot(args: &[&str], output: OutputFormat) -> Self {
        Self {
            driver: DriverKind::OneShot,
            output,
            model: flag("--model="),
            asks: false,
            mcp: false,
            models: ModelSource::Unknown,
            ..Self::acp(args)
        }
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn set(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn by_variable(mode: PermissionMode, name: &str, value: &str) -> ModeSpec {
    ModeSpec { mode, args: Vec::new(), set: set(&[(name, value)]) }
}

fn flag(name: &str) -> ModelChoice {
    ModelChoice::Flag(name.to_owned())
}

static TOOLS: LazyLock<Vec<ToolSpec>> = LazyLock::new(|| {
    vec![
        opencode(),
        claude(),
        cursor(),
        codex(),
        gemini(),
        copilot(),
        qwen(),
        pi(),
        goose(),
        ToolSpec {
            places: words(&["~/.amp/bin"]),
            install: "npm install -g @ampcode/cli".to_owned(),
            env: words(&["AMP_*"]),
            ..ToolSpec::named("amp", "Amp")
        },
        ToolSpec {
            binaries: Vec::new(),
            version_args: Vec::new(),
            agent: Some(AgentSpec {
                model: ModelChoice::Never,
                mcp: false,
                models: ModelSource::Unknown,
                ..AgentSpec::acp(&[ECHO_SUBCOMMAND])
            }),
            ..ToolSpec::named(ECHO, "Echo (built in)")
        },
    ]
});

fn opencode() -> ToolSpec {
    ToolSpec {
        places: words(&["~/.opencode/bin"]),
        install: "npm install -g opencode-ai".to_owned(),
        login: Some("opencode auth login".to_owned()),
        // It may be configured by files, environment or login: `opencode auth list` knows only the last.
        login_check: None,
        env: words(&[
            "OPENCODE_*",
            "ANTHROPIC_*",
            "OPENAI_*",
            "GEMINI_*",
            "GOOGLE_*",
            "OPENROUTER_*",
            "GROQ_*",
            "MISTRAL_*",
            "DEEPSEEK_*",
            "XAI_*",
            "AZURE_*",
            "AWS_*",
            "GITHUB_TOKEN",
            "GH_TOKEN",
        ]),
        agent: Some(AgentSpec {
            set: set(&[("OPENCODE_EXPERIMENTAL_BASH_DEFAULT_TIMEOUT_MS", SHELL_LIMIT_MS)]),
            quirk: Some(Quirk::OpenCodeRules),
            ..AgentSpec::acp(&["acp"])
        }),
        ..ToolSpec::named("opencode", "OpenCode")
    }
}

fn claude() -> ToolSpec {
    ToolSpec {
        places: words(&["~/.claude/local"]),
        install: "npm install -g @anthropic-ai/claude-code".to_owned(),
        login: Some("claude auth login".to_owned()),
        login_check: Some(LoginCheck {
            args: words(&["auth", "status"]),
            env: words(&[
                "ANTHROPIC_API_KEY",
                "ANTHROPIC_AUTH_TOKEN",
                "CLAUDE_CODE_OAUTH_TOKEN",
                "CLAUDE_CODE_USE_BEDROCK",
                "CLAUDE_CODE_USE_VERTEX",
                "CLAUDE_CODE_USE_FOUNDRY",
            ]),
        }),
        env: words(&[
            "ANTHROPIC_*",
            "CLAUDE_*",
            "API_TIMEOUT_MS",
            "BASH_DEFAULT_TIMEOUT_MS",
            "BASH_MAX_TIMEOUT_MS",
            "DISABLE_AUTOUPDATER",
            "DISABLE_TELEMETRY",
            "DISABLE_ERROR_REPORTING",
            "AWS_*",
            "GOOGLE_*",
            "CLOUD_ML_REGION",
            "GITHUB_TOKEN",
            "GH_TOKEN",
        ]),
        agent: Some(AgentSpec {
            driver: DriverKind::Claude,
            model: flag("--model="),
            // A session id that was used before is refused, so a new one is chosen for each new session.
            new_session_args: words(&["--session-id={session}"]),
            resume_args: words(&["--resume={session}"]),
            // Without them a shell command goes to the background after two minutes.
            set: set(&[("BASH_DEFAULT_TIMEOUT_MS", SHELL_LIMIT_MS), ("BASH_MAX_TIMEOUT_MS", SHELL_LIMIT_MS)]),
            // No flag for the mode `full`: the one there is refuses to run as root, and every permission is answered here.
            quirk: Some(Quirk::ClaudeMcp),
            ..AgentSpec::acp(&[
                "-p",
                "--input-format=stream-json",
                "--output-format=stream-json",
                "--verbose",
                "--include-partial-messages",
                "--permission-prompt-tool=stdio",
            ])
        }),
        ..ToolSpec::named("claude", "Claude Code")
    }
}

/// Written from its documentation; tested with a stand-in only.
fn cursor() -> ToolSpec {
    ToolSpec {
        // `agent` is a very general name: detection takes it only for Cursor's own.
        binaries: words(&["cursor-agent", "agent"]),
        places: words(&["~/.local/share/cursor-agent/versions/*"]),
        install: "curl https://cursor.com/install -fsS | bash".to_owned(),
        login: Some("cursor-agent login".to_owned()),
        env: words(&["CURSOR_*", "GITHUB_TOKEN", "GH_TOKEN"]),
        agent: Some(AgentSpec { model: flag("--model="), ..AgentSpec::acp(&["acp"]) }),
        ..ToolSpec::named("cursor", "Cursor CLI")
    }
}

fn codex() -> ToolSpec {
    let env = ["OPENAI_*", "CODEX_*", "AZURE_*"];
    let adapter = ToolSpec {
        install: "npm install -g @agentclientprotocol/codex-acp".to_owned(),
        env: words(&env),
        agent: Some(AgentSpec {
            // Codex asks when its sandbox is in the way of what it wants; how narrow that is, the mode says.
            modes: [
                (PermissionMode::Ask, "read-only"),
                (PermissionMode::AcceptEdits, "workspace-write"),
                (PermissionMode::Full, "agent-full-access"),
            ]
            .into_iter()
            .map(|(mode, initial)| by_variable(mode, "INITIAL_AGENT_MODE", initial))
            .collect(),
            ..AgentSpec::acp(&[])
        }),
        ..ToolSpec::named("codex-acp", "Codex adapter")
    };
    ToolSpec {
        install: "npm install -g @openai/codex".to_owned(),
        login: Some("codex login".to_owned()),
        login_check: Some(LoginCheck {
            args: words(&["login", "status"]),
            env: words(&["OPENAI_API_KEY", "CODEX_API_KEY", "CODEX_ACCESS_TOKEN"]),
        }),
        env: words(&env),
        agent: Some(AgentSpec {
            resume_args: words(&["resume", "{session}", "-"]),
            modes: vec![
                ModeSpec {
                    mode: PermissionMode::AcceptEdits,
                    // Its sandbox has no network otherwise, and then our own program reaches no server.
                    args: words(&["--sandbox=workspace-write", "-c", "sandbox_workspace_write.network_access=true"]),
                    set: Vec::new(),
                },
                ModeSpec {
                    mode: PermissionMode::Full,
                    args: words(&["--dangerously-bypass-approvals-and-sandbox"]),
                    set: Vec::new(),
                },
            ],
            models: ModelSource::CodexCatalogue,
            ..AgentSpec::one_shot(&["exec", "--json", "--skip-git-repo-check"], OutputFormat::Codex)
        }),
        adapter: Some(Box::new(Adapter { spec: adapter, program_variable: "CODEX_PATH".to_owned() })),
        ..ToolSpec::named("codex", "Codex CLI")
    }
}

fn gemini() -> ToolSpec {
    ToolSpec {
        install: "npm install -g @google/gemini-cli".to_owned(),
        login: Some("gemini".to_owned()),
        env: words(&["GEMINI_*", "GOOGLE_*"]),
        agent: Some(AgentSpec { model: flag("--model="), ..AgentSpec::acp(&["--acp"]) }),
        ..ToolSpec::named("gemini", "Gemini CLI")
    }
}

fn copilot() -> ToolSpec {
    ToolSpec {
        install: "npm install -g @github/copilot".to_owned(),
        login: Some("copilot login".to_owned()),
        env: words(&["COPILOT_*", "GITHUB_*", "GH_TOKEN"]),
        agent: Some(AgentSpec { model: flag("--model="), ..AgentSpec::acp(&["--acp"]) }),
        ..ToolSpec::named("copilot", "GitHub Copilot CLI")
    }
}

fn qwen() -> ToolSpec {
    ToolSpec {
        install: "npm install -g @qwen-code/qwen-code".to_owned(),
        login: Some("qwen".to_owned()),
        env: words(&["QWEN_*", "DASHSCOPE_*", "OPENAI_*"]),
        agent: Some(AgentSpec { model: flag("--model="), ..AgentSpec::acp(&["--acp"]) }),
        ..ToolSpec::named("qwen", "Qwen Code")
    }
}

fn pi() -> ToolSpec {
    ToolSpec {
        install: "npm install -g @earendil-works/pi-coding-agent".to_owned(),
        login: Some("pi".to_owned()),
        env: words(&["PI_*", "ANTHROPIC_*", "OPENAI_*", "GEMINI_*", "OPENROUTER_*"]),
        agent: Some(AgentSpec {
            // It has no permissions: it does what it is told, so it is only started where that is wanted.
            modes: vec![ModeSpec { mode: PermissionMode::Full, args: Vec::new(), set: Vec::new() }],
            // It refuses `--model=NAME`.
            model: flag("--model"),
            models: ModelSource::PiList,
            quirk: Some(Quirk::PiSessions),
            ..AgentSpec::one_shot(&["-p"], OutputFormat::Plain)
        }),
        ..ToolSpec::named("pi", "Pi")
    }
}

/// Written from its documentation.
fn goose() -> ToolSpec {
    ToolSpec {
        install: "see https://block.github.io/goose/docs/getting-started/installation".to_owned(),
        login: Some("goose configure".to_owned()),
        env: words(&["GOOSE_*", "ANTHROPIC_*", "OPENAI_*", "GOOGLE_*", "OPENROUTER_*"]),
        agent: Some(AgentSpec {
            model: ModelChoice::Variable("GOOSE_MODEL".to_owned()),
            modes: [
                (PermissionMode::Ask, "approve"),
                (PermissionMode::AcceptEdits, "approve"),
                (PermissionMode::Full, "auto"),
            ]
            .into_iter()
            .map(|(mode, goose)| by_variable(mode, "GOOSE_MODE", goose))
            .collect(),
            ..AgentSpec::acp(&["acp"])
        }),
        ..ToolSpec::named("goose", "Goose")
    }
}
