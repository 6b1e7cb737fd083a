//! Ports of a runner that the host does not show: they are bound in a network of its own, where nobody else is.

use super::sockets::Socket;
use crate::sys::network_namespace::NetworkNamespace;
use lighter_types::grant::Protocol;
use rustix::io::Errno;
use std::collections::BTreeSet;

/// The private network of one runner, made when it is first needed.
#[derive(Debug, Default)]
pub(super) struct Private {
    network: Option<Made>,
    /// Whether this system lets nobody make one.
    is_impossible: bool,
    /// The ports of TCP that were bound in it.
    ports: BTreeSet<u16>,
}

#[derive(Debug)]
struct Made {
    namespace: NetworkNamespace,
    /// By which its sockets are known.
    cookie: u64,
}

impl Private {
    /// Whether a socket is in it.
    pub(super) fn has(&self, socket: &Socket) -> Result<bool, Errno> {
        match &self.network {
            Some(made) => Ok(socket.network()? == made.cookie),
            None => Ok(false),
        }
    }

    /// A socket like another one, in it.
    ///
    /// # Errors
    /// `EACCES` where this system lets nobody make a network; the kernel's refusal.
    pub(super) fn twin(&mut self, socket: &Socket) -> Result<Socket, Errno> {
        let made = match &mut self.network {
            Some(made) => made,
            _ if self.is_impossible => return Err(Errno::ACCESS),
            none => {
                let namespace = NetworkNamespace::make().map_err(|_| {
                    self.is_impossible = true;
                    Errno::ACCESS
                })?;
                let probe = namespace.socket(libc::AF_INET, libc::SOCK_STREAM)?;
                let cookie = super::sockets::network_of(&probe)?;
                none.insert(Made { namespace, cookie })
            }
        };
        socket.twin(|family, kind| made.namespace.socket(family, kind))
    }

    /// Notes that a port was bound in it.
    pub(super) fn add(&mut self, socket: &Socket) -> Result<(), Errno> {
        if socket.protocol == Protocol::Tcp {
            self.ports.insert(socket.local()?.port());
        }
        Ok(())
    }

    /// Whether somebody may listen there.
    pub(super) fn has_port(&self, port: u16) -> bool {
        self.ports.contains(&port)
    }
}
