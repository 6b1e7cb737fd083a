//! nginx, as a server that requests go to.

use crate::Certificate;
use crate::workspace::Workspace;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// An nginx on ports of loopback, until this is dropped.
///
/// Each path is answered with what nginx was sent: scheme, host, protocol, `authorization` and `x-key`; below
/// `/redirect` with a redirection to `http://127.0.0.2`, below `/files` with what lies in the workspace.
pub struct Nginx {
    process: Child,
    /// Where it speaks HTTP/1.1.
    pub http: u16,
    /// Where it speaks HTTP/2 without TLS.
    pub http2: u16,
    /// Where it speaks TLS, with each of the certificates.
    pub https: Vec<u16>,
}

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(30);

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

impl Nginx {
    /// Starts it, with its files in a workspace.
    ///
    /// # Panics
    /// nginx is not there, or does not start.
    #[must_use]
    pub fn start(workspace: &Workspace, certificates: &[Certificate]) -> Self {
        let (http, http2) = (free_port(), free_port());
        let https: Vec<u16> = certificates.iter().map(|_| free_port()).collect();
        let mut servers = server(&format!(
            "listen 127.0.0.1:{http}; listen 127.0.0.2:{http};"
        ));
        servers += &server(&format!("listen 127.0.0.1:{http2} http2;"));
        for (number, (port, certificate)) in https.iter().zip(certificates).enumerate() {
            workspace.write(format!("nginx/{number}.pem"), &certificate.certificate);
            workspace.write(format!("nginx/{number}.key"), &certificate.key);
            servers += &server(&format!(
                "listen 127.0.0.1:{port} ssl http2; ssl_certificate {number}.pem; ssl_certificate_key {number}.key;"
            ));
        }
        let files = workspace.directory("served");
        let text = format!(
            "daemon off; master_process off; pid pid; error_log stderr crit;\n\
             events {{ worker_connections 512; }}\n\
             http {{\n access_log off; keepalive_requests 20; client_body_temp_path body; proxy_temp_path proxy;\n \
             fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n \
             client_max_body_size 64m; root {};\n{servers}}}\n",
            files.display()
        );
        workspace.write("nginx/nginx.conf", text);
        let directory = workspace.path("nginx");
        let process = Command::new("nginx")
            .arg("-p")
            .arg(&directory)
            .args(["-c", "nginx.conf", "-e", "stderr"])
            .stdin(Stdio::null())
            .spawn()
            .expect("nginx is there: apt-get install nginx-light");
        let mut nginx = Self {
            process,
            http,
            http2,
            https,
        };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, http)).is_err() {
            let ended = nginx.process.try_wait().expect("it is a child");
            assert!(ended.is_none() && Instant::now() < deadline, "{ended:?}");
            thread::sleep(Duration::from_millis(10));
        }
        nginx
    }
}

fn server(listens: &str) -> String {
    format!(
        " server {{\n  {listens}\n  \
         location / {{ return 200 \"$scheme $http_host $host $server_protocol [$http_authorization] [$http_x_key]\\n\"; }}\n  \
         location /redirect {{ return 302 http://127.0.0.2:$server_port/; }}\n  \
         location /files {{ }}\n }}\n"
    )
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
