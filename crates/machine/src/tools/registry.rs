//! The table of tools. A tool that needs more than words has its own file.

/// One agent CLI: how to find it, how to ask it, what it needs.
#[derive(Debug)]
pub struct ToolSpec {
    /// Its name in chatroom.
    pub name: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// Names of its program, best first. Empty for the built-in `echo`.
    pub binaries: &'static [&'static str],
    /// Directories where it may be although no PATH names them; `~/` is the user's home, one `*` stands for one name.
    pub places: &'static [&'static str],
    /// Arguments that make it print its version.
    pub version_args: &'static [&'static str],
    /// The command that installs it.
    pub install: &'static str,
    /// How to ask cheaply whether somebody is signed in.
    pub login: Option<LoginCheck>,
    /// Environment variables that it needs beside the common ones; `PREFIX_*` means all that begin so.
    pub env: &'static [&'static str],
    /// Whether this version can start it as an agent.
    pub startable: bool,
}

/// How to ask a tool whether somebody is signed in: exit code 0 means yes, 1 means no, everything else nothing.
#[derive(Debug)]
pub struct LoginCheck {
    /// Arguments.
    pub args: &'static [&'static str],
    /// The command that signs in.
    pub repair: &'static str,
    /// Variables that sign in by themselves: with one of them set nothing is asked.
    pub env: &'static [&'static str],
}

/// The name of the built-in agent that needs no model.
pub const ECHO: &str = "echo";

/// Every tool, in the order in which they are shown.
#[must_use]
pub fn all() -> &'static [ToolSpec] {
    TOOLS
}

/// A tool by its name.
#[must_use]
pub fn find(name: &str) -> Option<&'static ToolSpec> {
    TOOLS.iter().find(|spec| spec.name == name)
}

const VERSION: &[&str] = &["--version"];

const TOOLS: &[ToolSpec] = &[
    ToolSpec {
        name: "opencode",
        title: "OpenCode",
        binaries: &["opencode"],
        places: &["~/.opencode/bin"],
        version_args: VERSION,
        install: "npm install -g opencode-ai",
        // It may be configured by files, environment or login: `opencode auth list` knows only the last.
        login: None,
        env: &[
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
        ],
        startable: true,
    },
    ToolSpec {
        name: "claude",
        title: "Claude Code",
        binaries: &["claude"],
        places: &["~/.claude/local"],
        version_args: VERSION,
        install: "npm install -g @anthropic-ai/claude-code",
        login: Some(LoginCheck {
            args: &["auth", "status"],
            repair: "claude auth login",
            env: &[
                "ANTHROPIC_API_KEY",
                "ANTHROPIC_AUTH_TOKEN",
                "CLAUDE_CODE_OAUTH_TOKEN",
                "CLAUDE_CODE_USE_BEDROCK",
                "CLAUDE_CODE_USE_VERTEX",
                "CLAUDE_CODE_USE_FOUNDRY",
            ],
        }),
        env: &[
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
        ],
        startable: true,
    },
    ToolSpec {
        name: "cursor",
        title: "Cursor CLI",
        // `agent` is a very general name: detection takes it only for Cursor's own.
        binaries: &["cursor-agent", "agent"],
        places: &["~/.local/share/cursor-agent/versions/*"],
        version_args: VERSION,
        install: "curl https://cursor.com/install -fsS | bash",
        login: None,
        env: &["CURSOR_*", "GITHUB_TOKEN", "GH_TOKEN"],
        startable: true,
    },
    ToolSpec {
        name: "codex",
        title: "Codex CLI",
        binaries: &["codex"],
        places: &[],
        version_args: VERSION,
        install: "npm install -g @openai/codex",
        login: Some(LoginCheck {
            args: &["login", "status"],
            repair: "codex login",
            env: &["OPENAI_API_KEY", "CODEX_API_KEY", "CODEX_ACCESS_TOKEN"],
        }),
        env: &["OPENAI_*", "CODEX_*", "AZURE_*"],
        startable: false,
    },
    ToolSpec {
        name: "gemini",
        title: "Gemini CLI",
        binaries: &["gemini"],
        places: &[],
        version_args: VERSION,
        install: "npm install -g @google/gemini-cli",
        login: None,
        env: &["GEMINI_*", "GOOGLE_*"],
        startable: false,
    },
    ToolSpec {
        name: "copilot",
        title: "GitHub Copilot CLI",
        binaries: &["copilot"],
        places: &[],
        version_args: VERSION,
        install: "npm install -g @github/copilot",
        login: None,
        env: &["COPILOT_*", "GITHUB_*", "GH_TOKEN"],
        startable: false,
    },
    ToolSpec {
        name: "qwen",
        title: "Qwen Code",
        binaries: &["qwen"],
        places: &[],
        version_args: VERSION,
        install: "npm install -g @qwen-code/qwen-code",
        login: None,
        env: &["QWEN_*", "DASHSCOPE_*", "OPENAI_*"],
        startable: false,
    },
    ToolSpec {
        name: "pi",
        title: "Pi",
        binaries: &["pi"],
        places: &[],
        version_args: VERSION,
        install: "npm install -g @earendil-works/pi-coding-agent",
        login: None,
        env: &["PI_*", "ANTHROPIC_*", "OPENAI_*", "GEMINI_*", "OPENROUTER_*"],
        startable: false,
    },
    ToolSpec {
        name: "goose",
        title: "Goose",
        binaries: &["goose"],
        places: &[],
        version_args: VERSION,
        install: "see https://block.github.io/goose/docs/getting-started/installation",
        login: None,
        env: &["GOOSE_*", "ANTHROPIC_*", "OPENAI_*", "GOOGLE_*", "OPENROUTER_*"],
        startable: false,
    },
    ToolSpec {
        name: "amp",
        title: "Amp",
        binaries: &["amp"],
        places: &["~/.amp/bin"],
        version_args: VERSION,
        install: "npm install -g @ampcode/cli",
        login: None,
        env: &["AMP_*"],
        startable: false,
    },
    ToolSpec {
        name: ECHO,
        title: "Echo (built in)",
        binaries: &[],
        places: &[],
        version_args: &[],
        install: "",
        login: None,
        env: &[],
        startable: true,
    },
];
