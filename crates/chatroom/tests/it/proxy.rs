//! A network between a daemon and its server that can be cut: a TCP proxy on loopback.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// A proxy. Cut, it closes every connection and takes no new one.
pub(crate) struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    target: String,
    is_cut: AtomicBool,
    is_mute: AtomicBool,
    /// How many bytes a connection carries in each direction before it breaks.
    budget: AtomicU64,
    open: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// A proxy to a server's address.
    pub(crate) fn to(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            target: target.to_owned(),
            is_cut: AtomicBool::new(false),
            is_mute: AtomicBool::new(false),
            budget: AtomicU64::new(u64::MAX),
            open: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        // Ends with the test's process.
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let _ = shared.connect(client);
            }
        });
        Self { address, state }
    }

    /// Its address, as a server's.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Cuts the network.
    pub(crate) fn cut(&self) {
        self.state.is_cut.store(true, Ordering::SeqCst);
        for stream in self.state.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Lets calls through, but from now on no answer.
    pub(crate) fn mute(&self) {
        self.state.is_mute.store(true, Ordering::SeqCst);
    }

    /// Breaks each connection that begins from now on once it has carried so many bytes in one direction.
    pub(crate) fn break_after(&self, bytes: u64) {
        self.state.budget.store(bytes, Ordering::SeqCst);
    }

    /// Mends it.
    pub(crate) fn mend(&self) {
        self.state.is_mute.store(false, Ordering::SeqCst);
        self.state.is_cut.store(false, Ordering::SeqCst);
    }
}

impl State {
    fn connect(self: &Arc<Self>, client: TcpStream) -> io::Result<()> {
        if self.is_cut.load(Ordering::SeqCst) {
            return client.shutdown(Shutdown::Both);
        }
        let server = TcpStream::connect(&self.target)?;
        self.open.lock().unwrap().extend([client.try_clone()?, server.try_clone()?]);
        let ways = [(client.try_clone()?, server.try_clone()?, false), (server, client, true)];
        for (from, to, is_answer) in ways {
            let state = Arc::clone(self);
            let budget = self.budget.load(Ordering::SeqCst);
            std::thread::spawn(move || {
                if state.carry(&from, &to, is_answer, budget).is_ok_and(|()| budget == u64::MAX) {
                    let _ = to.shutdown(Shutdown::Write);
                } else {
                    let _ = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
                }
            });
        }
        Ok(())
    }

    /// Copies until the end, or until the budget is spent.
    fn carry(&self, mut from: &TcpStream, mut to: &TcpStream, is_answer: bool, mut budget: u64) -> io::Result<()> {
        let mut bytes = [0; 16 * 1024];
        while budget > 0 {
            let count = from.read(&mut bytes)?;
            if count == 0 {
                return Ok(());
            }
            let some = count.min(usize::try_from(budget).unwrap_or(usize::MAX));
            budget -= some as u64;
            if !(is_answer && self.is_mute.load(Ordering::SeqCst)) {
                to.write_all(&bytes[..some])?;
            }
        }
        Ok(())
    }
}
