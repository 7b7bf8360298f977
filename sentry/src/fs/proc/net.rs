//! `/proc/net`, of `/proc/PID/net`, since it belongs to a network namespace. The texts are the network's.

use moat_abi::errno::Errno;
use moat_abi::stat::FileType;

use super::subject::Subject;
use crate::Result;
use crate::fs::kernfs::{Directory, Listed, Node};
use crate::net::proc_net::FILES;

/// The directory.
pub fn directory(subject: &Subject) -> Node {
    Node::directory(0o555, Net(subject.clone()))
}

struct Net(Subject);

impl Directory for Net {
    fn lookup(&self, name: &[u8]) -> Result<Node> {
        let &(name, text) = FILES.iter().find(|(n, _)| n.as_bytes() == name).ok_or(Errno::ENOENT)?;
        let subject = self.0.clone();
        Ok(Node::file(0o444, move || {
            let kernel = subject.kernel()?;
            let net = kernel.net();
            net.stack().proc_text(net, name).unwrap_or_else(|| Ok(text(net).into_bytes()))
        }))
    }

    fn list(&self) -> Result<Vec<Listed>> {
        Ok(FILES.iter().map(|(name, _)| Listed::new(*name, FileType::Regular)).collect())
    }
}
