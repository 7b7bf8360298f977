//! Network interfaces in sysfs: those of the container's network, as of each lookup.

use moat_abi::errno::Errno;
use moat_abi::socket as s;
use moat_abi::stat::FileType;

use crate::Result;
use crate::fs::kernfs::{Directory, Fixed, KernelSlot, Listed, Node};
use crate::net::stack::Interface;

/// `/sys/class/net`: a link for each.
pub fn class(kernel: &KernelSlot) -> Node {
    Node::directory(0o555, Links(kernel.clone()))
}

/// `/sys/devices/virtual/net`: a directory for each.
pub fn devices(kernel: &KernelSlot) -> Node {
    Node::directory(0o555, Devices(kernel.clone()))
}

fn interfaces(kernel: &KernelSlot) -> Result<Vec<Interface>> {
    Ok(kernel.get()?.net().stack().interfaces())
}

fn find(kernel: &KernelSlot, name: &[u8]) -> Result<Interface> {
    interfaces(kernel)?.into_iter().find(|i| i.name.as_bytes() == name).ok_or(Errno::ENOENT)
}

fn list(kernel: &KernelSlot, kind: FileType) -> Result<Vec<Listed>> {
    Ok(interfaces(kernel)?.into_iter().map(|i| Listed::new(i.name, kind)).collect())
}

struct Links(KernelSlot);

impl Directory for Links {
    fn lookup(&self, name: &[u8]) -> Result<Node> {
        let interface = find(&self.0, name)?;
        Ok(Node::symlink(format!("../../devices/virtual/net/{}", interface.name)))
    }

    fn list(&self) -> Result<Vec<Listed>> {
        list(&self.0, FileType::Symlink)
    }
}

struct Devices(KernelSlot);

impl Directory for Devices {
    fn lookup(&self, name: &[u8]) -> Result<Node> {
        Ok(device(&find(&self.0, name)?))
    }

    fn list(&self) -> Result<Vec<Listed>> {
        list(&self.0, FileType::Directory)
    }
}

fn device(interface: &Interface) -> Node {
    let running = interface.flags & s::IFF_LOWER_UP != 0;
    let state = match (interface.flags & s::IFF_LOOPBACK != 0, running) {
        (true, true) => "unknown\n",
        (false, true) => "up\n",
        (_, false) => "down\n",
    };
    let address: Vec<String> = interface.hardware.iter().map(|byte| format!("{byte:02x}")).collect();
    // What netlink shows besides is no flag of the device.
    let flags = interface.flags & 0xffff & !s::IFF_RUNNING;
    Fixed::new()
        .with("address", Node::text(address.join(":") + "\n"))
        .with("carrier", Node::text(format!("{}\n", u8::from(running))))
        .with("flags", Node::text(format!("{flags:#x}\n")))
        .with("ifindex", Node::text(format!("{}\n", interface.index)))
        .with("mtu", Node::text(format!("{}\n", interface.mtu)))
        .with("operstate", Node::text(state))
        .with("tx_queue_len", Node::text(format!("{}\n", interface.queue_length)))
        .with("type", Node::text(format!("{}\n", interface.hardware_type)))
        .node()
}
