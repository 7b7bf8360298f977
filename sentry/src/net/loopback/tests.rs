//! Endpoints of the loopback, without sockets above them.

use super::*;
use crate::net::inet::{TCP_RECEIVE_BUFFER, TCP_SEND_BUFFER};
use crate::net::stack::{Marks, Rules};
use moat_abi::poll::PollEvents;
use std::time::Duration;

fn rules() -> Rules {
    Rules {
        reuse_address: false,
        reuse_port: false,
        v6_only: false,
        broadcast: false,
        uid: 0,
        send_buffer: TCP_SEND_BUFFER as usize,
        receive_buffer: TCP_RECEIVE_BUFFER as usize,
        marks: Marks::default(),
        receive_errors: false,
    }
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn connected(stack: &Arc<Loopback>) -> (Arc<dyn Endpoint>, Arc<dyn Endpoint>) {
    let listener = stack.endpoint(Transport::Stream, false).unwrap();
    listener.bind(at("127.0.0.1:0"), rules()).unwrap();
    listener.listen(1, rules()).unwrap();
    let client = stack.endpoint(Transport::Stream, false).unwrap();
    client.connect(listener.local(), rules(), false, None).unwrap();
    let server = listener.accept().unwrap();
    listener.close(None);
    (client, server)
}

fn read(end: &Arc<dyn Endpoint>) -> Result<Vec<u8>> {
    let mut buf = [0; 64];
    end.receive(&mut buf, false, true).map(|a| buf[..a.copied].to_vec())
}

#[test]
fn bytes_go_both_ways_and_each_side_ends_alone() {
    let (client, server) = connected(&Loopback::new());
    assert_eq!(client.send(b"hello", None, rules()), Ok(5));
    assert_eq!(read(&server), Ok(b"hello".to_vec()));
    assert_eq!(read(&server), Err(Errno::EAGAIN));
    client.shutdown(false, true).unwrap();
    assert_eq!(read(&server), Ok(Vec::new()));
    assert_eq!(server.send(b"bye", None, rules()), Ok(3));
    assert_eq!(read(&client), Ok(b"bye".to_vec()));
    assert_eq!(client.send(b"x", None, rules()), Err(Errno::EPIPE));
}

#[test]
fn unread_bytes_make_close_a_reset() {
    let (client, server) = connected(&Loopback::new());
    client.send(b"unread", None, rules()).unwrap();
    server.close(None);
    assert!(client.poll(None).contains(PollEvents::ERR | PollEvents::HUP));
    assert_eq!(read(&client), Err(Errno::ECONNRESET));
    assert_eq!(read(&client), Ok(Vec::new()));
    assert_eq!(client.send(b"x", None, rules()), Err(Errno::EPIPE));
}

#[test]
fn the_first_send_to_a_closed_peer_goes_and_the_second_does_not() {
    let (client, server) = connected(&Loopback::new());
    server.close(None);
    assert_eq!(read(&client), Ok(Vec::new()));
    assert_eq!(client.send(b"x", None, rules()), Ok(1));
    assert_eq!(client.send(b"x", None, rules()), Err(Errno::EPIPE));
}

#[test]
fn a_full_backlog_lets_the_next_in_once_one_is_accepted() {
    let stack = Loopback::new();
    let listener = stack.endpoint(Transport::Stream, false).unwrap();
    listener.bind(at("127.0.0.1:0"), rules()).unwrap();
    listener.listen(0, rules()).unwrap();
    let first = stack.endpoint(Transport::Stream, false).unwrap();
    first.connect(listener.local(), rules(), false, None).unwrap();
    let second = stack.endpoint(Transport::Stream, false).unwrap();
    assert_eq!(second.connect(listener.local(), rules(), true, None), Err(Errno::EINPROGRESS));
    assert!(second.poll(None).is_empty());
    listener.accept().unwrap();
    assert!(second.poll(None).contains(PollEvents::OUT));
    assert_eq!(second.connect(listener.local(), rules(), true, None), Ok(()));
    assert_eq!(second.connect(listener.local(), rules(), true, None), Err(Errno::EISCONN));
}

#[test]
fn a_refused_connect_is_told_at_once_or_by_the_error() {
    let stack = Loopback::new();
    let client = stack.endpoint(Transport::Stream, false).unwrap();
    assert_eq!(client.connect(Some(at("127.0.0.1:1")), rules(), false, None), Err(Errno::ECONNREFUSED));
    assert_eq!(client.connect(Some(at("127.0.0.1:1")), rules(), true, None), Err(Errno::EINPROGRESS));
    assert_eq!(client.take_error(), Some(Errno::ECONNREFUSED));
    assert_eq!(client.connect(Some(at("8.8.8.8:53")), rules(), true, None), Err(Errno::ECONNABORTED));
    assert_eq!(client.connect(Some(at("8.8.8.8:53")), rules(), true, None), Err(Errno::ENETUNREACH));
}

#[test]
fn a_dual_stack_listener_takes_v4() {
    let stack = Loopback::new();
    let listener = stack.endpoint(Transport::Stream, true).unwrap();
    listener.bind(at("[::]:0"), rules()).unwrap();
    listener.listen(4, rules()).unwrap();
    let to = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), listener.local().unwrap().port());
    let client = stack.endpoint(Transport::Stream, false).unwrap();
    client.connect(Some(to), rules(), false, None).unwrap();
    assert_eq!(listener.accept().unwrap().peer().unwrap(), client.local().unwrap());
}

#[test]
fn closing_a_listener_resets_who_was_not_accepted() {
    let stack = Loopback::new();
    let listener = stack.endpoint(Transport::Stream, false).unwrap();
    listener.bind(at("127.0.0.1:0"), rules()).unwrap();
    listener.listen(4, rules()).unwrap();
    let client = stack.endpoint(Transport::Stream, false).unwrap();
    client.connect(listener.local(), rules(), false, None).unwrap();
    listener.close(None);
    assert_eq!(read(&client), Err(Errno::ECONNRESET));
}

#[test]
fn a_lingering_time_of_zero_resets() {
    let (client, server) = connected(&Loopback::new());
    server.close(Some(Duration::ZERO));
    assert_eq!(read(&client), Err(Errno::ECONNRESET));
}

#[test]
fn datagrams_keep_their_bounds_and_find_nobody_as_an_error() {
    let stack = Loopback::new();
    let one = stack.endpoint(Transport::Datagram, false).unwrap();
    let two = stack.endpoint(Transport::Datagram, false).unwrap();
    one.bind(at("127.0.0.1:0"), rules()).unwrap();
    two.connect(one.local(), rules(), false, None).unwrap();
    two.send(b"ab", None, rules()).unwrap();
    two.send(b"", None, rules()).unwrap();
    assert_eq!(read(&one), Ok(b"ab".to_vec()));
    assert_eq!(read(&one), Ok(Vec::new()));
    assert_eq!(read(&one), Err(Errno::EAGAIN));
    one.close(None);
    assert_eq!(two.send(b"x", None, rules()), Ok(1));
    assert_eq!(two.send(b"x", None, rules()), Err(Errno::ECONNREFUSED));
    assert_eq!(two.send(&[0; 65_508], None, rules()), Err(Errno::EMSGSIZE));
}
