//! A small world for one test: a home of its own, the real binary, nothing inherited from the environment. What was started in
//! it is ended with it.

use crate::browser::Browser;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Debug;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything may take before the test says that it hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// The binary under test.
pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_chatroom"))
}

/// Asks again and again until there is an answer.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begun.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// One test's world.
pub(crate) struct World {
    root: TempDir,
    env: BTreeMap<String, String>,
}

impl World {
    /// An empty one: `home`, `tools` (first on PATH) and `work` below a temporary directory.
    pub(crate) fn new() -> Self {
        let root = tempfile::Builder::new().prefix("chatroom-it-").tempdir().unwrap();
        for name in ["home", "tools", "work", "tmp"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        std::os::unix::fs::symlink(binary(), root.path().join("tools/chatroom")).unwrap();
        let path = |name: &str| root.path().join(name).to_str().unwrap().to_owned();
        let env = BTreeMap::from([
            ("HOME".to_owned(), path("home")),
            ("PATH".to_owned(), format!("{}:/usr/bin:/bin", path("tools"))),
            ("TMPDIR".to_owned(), path("tmp")),
            ("SHELL".to_owned(), "/bin/sh".to_owned()),
            ("USER".to_owned(), "tester".to_owned()),
            ("CHATROOM_TEST_FINGERPRINT".to_owned(), "this-machine".to_owned()),
        ]);
        Self { root, env }
    }

    /// Sets a variable for everything that is started from now on.
    pub(crate) fn env(&mut self, name: &str, value: &str) {
        self.env.insert(name.to_owned(), value.to_owned());
    }

    /// The temporary directory.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    /// The chatroom directory.
    pub(crate) fn chatroom_dir(&self) -> PathBuf {
        self.root.path().join("home/.chatroom")
    }

    /// Where agents work.
    pub(crate) fn work(&self) -> PathBuf {
        self.root.path().join("work")
    }

    /// Puts a program on PATH: a shell script.
    pub(crate) fn tool(&self, name: &str, script: &str) -> PathBuf {
        let path = self.root.path().join("tools").join(name);
        // Written beside and moved: a running script must not change under its shell.
        let new = path.with_extension("new");
        fs::write(&new, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(&new, &path).unwrap();
        path
    }

    /// A command of the binary under test.
    pub(crate) fn chatroom<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Run<'_> {
        self.command(binary(), args)
    }

    /// Words of a command line, split at blanks.
    pub(crate) fn line(&self, line: &str) -> Run<'_> {
        self.chatroom(line.split_whitespace())
    }

    /// A command of another program.
    pub(crate) fn command<S: AsRef<OsStr>>(
        &self,
        program: impl AsRef<OsStr>,
        args: impl IntoIterator<Item = S>,
    ) -> Run<'_> {
        let mut command = Command::new(program);
        command.args(args).env_clear().envs(&self.env).current_dir(self.work());
        Run { command, stdin: Stdin::Nothing, _world: self }
    }

    /// Starts `chatroom up` on a free port and waits until this machine is connected.
    pub(crate) fn up(&self) -> Up<'_> {
        self.up_at("127.0.0.1:0")
    }

    /// Starts `chatroom up` at an address and waits until this machine is connected.
    pub(crate) fn up_at(&self, listen: &str) -> Up<'_> {
        let mut process = self.chatroom(["up", "--no-open", "--json", &format!("--listen={listen}")]).start();
        let document = process.document();
        let url = document["url"].as_str().unwrap().to_owned();
        let up = Up { world: self, process, url, sign_in_link: document["signInLink"].as_str().unwrap().to_owned() };
        up.world.connected();
        up
    }

    /// Starts a server that nobody has signed in at, on a free port.
    pub(crate) fn server(&self) -> ServerProcess {
        self.server_at("127.0.0.1:0")
    }

    /// Starts a server at an address.
    pub(crate) fn server_at(&self, listen: &str) -> ServerProcess {
        let mut process = self.line(&format!("server --listen={listen} --json")).start();
        let document = process.document();
        let text = |name: &str| document[name].as_str().unwrap_or_default().to_owned();
        ServerProcess { url: text("url"), sign_in_link: text("signInLink"), process }
    }

    /// Starts a server and signs this world's user in there; no machine is registered.
    pub(crate) fn signed_in(&self) -> ServerProcess {
        let server = self.server();
        self.sign_in(&server.url, &server.sign_in_link);
        server
    }

    /// Signs this world's user in by a device login, approved in a browser that a link has signed in.
    pub(crate) fn sign_in(&self, url: &str, link: &str) {
        let mut login = self.line(&format!("auth login --no-open --server={url}")).start();
        let code = eventually("a code to approve", || {
            assert!(!login.has_ended(), "{}", login.stderr());
            let told = login.stderr();
            Some(told.split_once("chatroom auth approve ")?.1.split_once('\n')?.0.to_owned())
        });
        let page = Browser::sign_in(url, link).decide(&code, "approve");
        assert!(page.contains("The machine is signed in"), "{page}");
        let done = login.done();
        assert_eq!(done.code, 0, "{done:?}");
    }

    /// Waits until this machine is connected.
    pub(crate) fn connected(&self) {
        eventually("the machine is connected", || {
            let machines = self.line("machine list --json").done();
            (machines.code == 0 && machines.json()[0]["connection"] == "connected").then_some(())
        });
    }

    /// Makes a room with a team and gives its id.
    pub(crate) fn room(&self, team: &str) -> String {
        self.line(&format!("room create --name=test --team={team}")).ok().stdout.trim().to_owned()
    }

    /// The messages of a room.
    pub(crate) fn messages(&self, room: &str) -> Vec<Value> {
        let messages = self.line(&format!("messages list --chatroom-id={room} --json")).ok().json();
        messages.as_array().unwrap().clone()
    }

    /// Waits for the first message of a room to the user and gives its text.
    pub(crate) fn answer(&self, room: &str) -> String {
        eventually("a message to the user", || {
            let messages = self.messages(room);
            let answer = messages.iter().find(|message| message["targetRole"] == "user")?;
            Some(answer["content"].as_str().unwrap().to_owned())
        })
    }

    /// Every process that was started in this world and still runs: they have its home in their environment.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let mark = format!("HOME={}\0", self.env["HOME"]).into_bytes();
        let entries = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        entries
            .filter(|pid: &u32| {
                let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
                environment.windows(mark.len()).any(|part| part == mark)
            })
            .collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for _ in 0..100 {
            let left = self.processes();
            if left.is_empty() {
                return;
            }
            for pid in left {
                signal(pid, "KILL");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Sends a signal to a process that this test started.
pub(crate) fn signal(pid: u32, name: &str) {
    let _ = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).stderr(Stdio::null()).status();
}

/// A command before it runs.
pub(crate) struct Run<'a> {
    command: Command,
    stdin: Stdin,
    _world: &'a World,
}

/// What a command reads.
enum Stdin {
    Nothing,
    Text(String),
    /// What is said to it while it runs.
    Talk,
}

impl Run<'_> {
    /// With this on its standard input.
    pub(crate) fn stdin(mut self, text: &str) -> Self {
        self.stdin = Stdin::Text(text.to_owned());
        self
    }

    /// With an open standard input, for [`Process::say`].
    pub(crate) fn talking(mut self) -> Self {
        self.stdin = Stdin::Talk;
        self
    }

    /// With this variable.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// In this directory.
    pub(crate) fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Starts it.
    #[track_caller]
    pub(crate) fn start(mut self) -> Process {
        self.command.stdin(if matches!(self.stdin, Stdin::Nothing) { Stdio::null() } else { Stdio::piped() });
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let name = format!("{:?}", self.command);
        let mut child = self.command.spawn().unwrap();
        let stdin = match (child.stdin.take(), self.stdin) {
            (Some(mut stdin), Stdin::Text(text)) => {
                // A command that does not read its input is no fault of the test.
                let _ = stdin.write_all(text.as_bytes());
                None
            }
            (stdin, _) => stdin,
        };
        let stderr = Arc::new(Mutex::new(String::new()));
        let mut pipe = child.stderr.take().unwrap();
        let collected = Arc::clone(&stderr);
        let errors = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = pipe.read(&mut bytes) {
                collected.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        let stdout = Arc::new(Mutex::new(String::new()));
        let pipe = child.stdout.take().unwrap();
        let collected = Arc::clone(&stdout);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                let mut text = collected.lock().unwrap();
                text.push_str(&line);
                text.push('\n');
            }
        });
        Process { name, child, stdin, stdout, stderr, readers: vec![reader, errors] }
    }

    /// Runs it to its end.
    #[track_caller]
    pub(crate) fn done(self) -> Done {
        self.start().done()
    }

    /// Runs it to its end, which must be a success.
    #[track_caller]
    pub(crate) fn ok(self) -> Done {
        let done = self.done();
        assert_eq!(done.code, 0, "{done:?}");
        done
    }

    /// Runs it to its end, which must be a refusal (exit code 1).
    #[track_caller]
    pub(crate) fn refused(self) -> Done {
        let done = self.done();
        assert_eq!(done.code, 1, "{done:?}");
        done
    }
}

/// A running command; killed when dropped.
pub(crate) struct Process {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
    readers: Vec<std::thread::JoinHandle<()>>,
}

impl Process {
    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it printed so far.
    pub(crate) fn stdout(&self) -> String {
        self.stdout.lock().unwrap().clone()
    }

    /// What it printed on stderr so far.
    pub(crate) fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// Writes a line to its standard input.
    pub(crate) fn say(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("a command that was started to talk to");
        writeln!(stdin, "{line}").unwrap();
    }

    /// Waits for its line of this number, counted from 0; `None` when it ended before.
    #[track_caller]
    pub(crate) fn line(&mut self, number: usize) -> Option<String> {
        eventually(&format!("line {number} of {}", self.name), || {
            // Asked before the look at its lines: what it printed last is not lost.
            let ended = self.has_ended() && self.readers.iter().all(std::thread::JoinHandle::is_finished);
            match self.stdout().lines().nth(number) {
                Some(line) => Some(Some(line.to_owned())),
                None => ended.then_some(None),
            }
        })
    }

    /// Waits until it has printed something.
    #[track_caller]
    pub(crate) fn prints(&mut self, text: &str) {
        eventually(&format!("`{text}` printed by {}", self.name), || {
            if self.stdout().contains(text) {
                return Some(());
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                self.read_to_end();
                assert!(
                    self.stdout().contains(text),
                    "{} ended ({status}) without `{text}`:\n{}{}",
                    self.name,
                    self.stdout(),
                    self.stderr()
                );
            }
            None
        });
    }

    /// Waits until it has printed one JSON document.
    #[track_caller]
    pub(crate) fn document(&mut self) -> Value {
        eventually(&format!("a document printed by {}", self.name), || {
            if let Ok(value) = serde_json::from_str(&self.stdout()) {
                return Some(value);
            }
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "{} ended ({ended:?}):\n{}{}", self.name, self.stdout(), self.stderr());
            None
        })
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for the readers, which may be a little behind. A process that it left behind may hold its output open: what came
    /// until then counts.
    fn read_to_end(&self) {
        let begun = Instant::now();
        while self.readers.iter().any(|reader| !reader.is_finished()) && begun.elapsed() < Duration::from_secs(2) {
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn done(self) -> Done {
        self.done_within(2 * DEADLINE)
    }

    /// Waits for its end, which may take so long.
    #[track_caller]
    pub(crate) fn done_within(mut self, limit: Duration) -> Done {
        let begun = Instant::now();
        let status: ExitStatus = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begun.elapsed() < limit, "{} hangs:\n{}{}", self.name, self.stdout(), self.stderr());
            std::thread::sleep(Duration::from_millis(5));
        };
        self.read_to_end();
        use std::os::unix::process::ExitStatusExt as _;
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        Done { name: self.name.clone(), code, stdout: self.stdout(), stderr: self.stderr() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command that has ended.
#[derive(Clone)]
pub(crate) struct Done {
    name: String,
    /// Exit code; 128 and the signal's number when one ended it.
    pub(crate) code: i32,
    /// Everything on stdout.
    pub(crate) stdout: String,
    /// Everything on stderr.
    pub(crate) stderr: String,
}

impl Done {
    /// Its JSON document.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Its stderr must hold this.
    #[track_caller]
    pub(crate) fn says(&self, text: &str) -> &Self {
        assert!(self.stderr.contains(text), "no `{text}` in {self:?}");
        self
    }
}

impl Debug for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\nexit code {}\n--- stdout\n{}--- stderr\n{}---", self.name, self.code, self.stdout, self.stderr)
    }
}

/// A running `chatroom server`.
pub(crate) struct ServerProcess {
    /// The process.
    pub(crate) process: Process,
    /// Its address.
    pub(crate) url: String,
    /// The first user's link.
    pub(crate) sign_in_link: String,
}

impl ServerProcess {
    /// Where it listens, for the next one: `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> String {
        self.url.trim_start_matches("http://").to_owned()
    }

    /// Stops it as a service manager does, and waits for its end.
    #[track_caller]
    pub(crate) fn stop(self) -> Done {
        self.process.signal("TERM");
        self.process.done()
    }
}

/// A running `chatroom up`.
pub(crate) struct Up<'a> {
    world: &'a World,
    /// The process.
    pub(crate) process: Process,
    /// The server's address.
    pub(crate) url: String,
    /// The link that it printed.
    pub(crate) sign_in_link: String,
}

impl Up<'_> {
    /// Where it listens, for the next one: `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> String {
        self.url.trim_start_matches("http://").to_owned()
    }

    /// Stops it as Ctrl-C does, and waits for its end.
    #[track_caller]
    pub(crate) fn stop(self) -> Done {
        self.process.signal("INT");
        self.process.done()
    }
}
