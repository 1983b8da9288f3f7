//! A person's browser, as far as signing in and approving needs one.

use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;

/// A browser with one session.
pub(crate) struct Browser {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
    server: String,
    cookie: String,
}

impl Browser {
    /// Follows a sign-in link and presses its button.
    pub(crate) fn sign_in(server: &str, link: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = reqwest::Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
        let cookie = runtime.block_on(async {
            // A look uses nothing up.
            assert!(client.get(link).send().await.unwrap().status().is_success());
            let response = client.post(link).send().await.unwrap();
            assert_eq!(response.headers()[LOCATION], "/");
            let cookie = response.headers()[SET_COOKIE].to_str().unwrap();
            assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
            cookie.split(';').next().unwrap().to_owned()
        });
        Self { runtime, client, server: server.to_owned(), cookie }
    }

    /// Gives a page's text.
    pub(crate) fn page(&self, path: &str) -> String {
        let url = format!("{}{path}", self.server);
        self.runtime.block_on(async {
            let response = self.client.get(url).header(COOKIE, &self.cookie).send().await.unwrap();
            response.text().await.unwrap()
        })
    }

    /// Approves (or refuses) the device login with this code.
    pub(crate) fn decide(&self, code: &str, decision: &str) -> String {
        let url = format!("{}/device/decide", self.server);
        self.runtime.block_on(async {
            let request = self.client.post(url).header(COOKIE, &self.cookie);
            let form = format!("user_code={code}&decision={decision}");
            let request = request.header("Content-Type", "application/x-www-form-urlencoded").body(form);
            request.send().await.unwrap().text().await.unwrap()
        })
    }
}
