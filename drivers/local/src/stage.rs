//! Real servers for the tests of this crate, on ports of the system's choice.

pub(crate) mod database;
pub(crate) mod wait;

use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// An HTTP server that ends with the test.
pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Site {
    pub(crate) async fn start(router: axum::Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, serving }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A client as the program wires one.
pub(crate) fn client() -> reqwest::Client {
    // An error means that another test of this process was first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// Accepts connections and never says a word.
pub(crate) async fn silent() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// An address where nobody listens.
pub(crate) async fn refused() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

pub(crate) async fn refused_url(path: &str) -> String {
    format!("http://{}{path}", refused().await)
}
