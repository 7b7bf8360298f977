//! The control socket's end in the runtime.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use moat_sentry::control::protocol::{Reply, Request};

use super::socket::{Socket, SocketError};

/// The socket's name in the state directory.
pub const SOCKET_NAME: &str = "control.sock";
/// How long the sandbox may take to answer; not for the end of a process.
const PATIENCE: Duration = Duration::from_secs(30);

/// What became of a request.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The sandbox has ended.
    #[error("container not running")]
    Gone,
    /// No answer, or none that makes sense.
    #[error("the sandbox does not answer: {0}")]
    Socket(#[from] SocketError),
    /// The sandbox refused.
    #[error("{what}")]
    Refused {
        /// Linux's number of the error.
        errno: i32,
        /// What failed.
        what: String,
    },
}

/// A connection to a running sandbox.
#[derive(Debug)]
pub struct Client(Socket);

/// A state directory's path may be longer than a socket's address: this one names it by a descriptor.
fn address(directory: &Path) -> std::io::Result<(OwnedFd, std::path::PathBuf)> {
    let directory: OwnedFd = std::fs::File::open(directory)?.into();
    let path = format!("/proc/self/fd/{}/{SOCKET_NAME}", directory.as_raw_fd());
    Ok((directory, path.into()))
}

/// Makes the socket that the sentry will serve.
///
/// # Errors
/// The host's.
pub fn listen(directory: &Path) -> std::io::Result<OwnedFd> {
    let (_directory, path) = address(directory)?;
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(directory.join(SOCKET_NAME), std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(listener.into())
}

impl Client {
    /// Connects to the sandbox that was made in this state directory.
    ///
    /// # Errors
    /// `Gone` if nobody serves it.
    pub fn connect(directory: &Path) -> Result<Self, ControlError> {
        let (_directory, path) = address(directory).map_err(|_| ControlError::Gone)?;
        let stream = UnixStream::connect(path).map_err(|_| ControlError::Gone)?;
        let socket = Socket::new(stream.into());
        socket.set_patience(Some(PATIENCE)).map_err(SocketError::from)?;
        Ok(Self(socket))
    }

    /// Asks for something.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub fn request(&self, request: &Request, files: &[BorrowedFd<'_>]) -> Result<Reply, ControlError> {
        if matches!(request, Request::Wait { .. }) {
            self.0.set_patience(None).map_err(SocketError::from)?;
        }
        let answer = self.0.send(request, files).and_then(|()| self.0.receive::<Reply>());
        match answer {
            Ok((Reply::Failed { errno, what }, _)) => Err(ControlError::Refused { errno, what }),
            Ok((reply, _)) => Ok(reply),
            Err(SocketError::Closed) => Err(ControlError::Gone),
            Err(e) => Err(e.into()),
        }
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
