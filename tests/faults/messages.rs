//! Messages on the control socket that are none of ours.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use moat_sentry::control::protocol::{HEADER_SIZE, Header, MAGIC, MAX_FILES, MAX_TEXT, VERSION};

use crate::scene::{ID, Scene};

fn header(words: [u32; 4]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Sends bytes and no more; whether the sandbox ends the connection.
fn is_hung_up_on(scene: &Scene, bytes: &[u8]) -> bool {
    let mut stream = UnixStream::connect(scene.directory().join("control.sock")).unwrap();
    // The sandbox may have ended the connection before all is written.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => answer.is_empty(),
        Err(e) => e.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn what_is_no_message_ends_the_connection_alone() {
    let scene = Scene::running();
    let good = Header { text: 11, files: 0 }.encode();
    let mut messages: Vec<Vec<u8>> = vec![
        header([MAGIC ^ 1, VERSION, 2, 0]),
        header([MAGIC, VERSION + 1, 2, 0]),
        header([MAGIC, 0, 2, 0]),
        header([MAGIC, VERSION, MAX_TEXT + 1, 0]),
        header([MAGIC, VERSION, u32::MAX, u32::MAX]),
        header([MAGIC, VERSION, 2, MAX_FILES + 1]),
        // Descriptors that do not come.
        [&header([MAGIC, VERSION, 2, 3])[..], b"{}"].concat(),
        // Not the text of a request.
        [&good[..], b"not json at"].concat(),
        [&good[..], b"[1,2,3,4,5]"].concat(),
        [&good[..], &[0xff; 11]].concat(),
        [&header([MAGIC, VERSION, 21, 0])[..], b"{\"request\":\"nosuch\"} "].concat(),
        [&header([MAGIC, VERSION, 40, 0])[..], b"{\"request\":\"kill\",\"pid\":\"x\",\"signal\":1} "].concat(),
        // Deep enough to overflow a stack.
        [&header([MAGIC, VERSION, 1 << 20, 0])[..], &vec![b'['; 1 << 20]].concat(),
    ];
    // Cut off at each byte.
    let whole = [&Header { text: 19, files: 0 }.encode()[..], b"{\"request\":\"pause\"}"].concat();
    messages.extend((0..whole.len() - 1).map(|length| whole[..length].to_vec()));
    // Noise, of a generator without a seed from outside.
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    for length in 1..100 {
        let noise = (0..length * 7).map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        });
        let mut noise: Vec<u8> = noise.collect();
        if length % 3 == 0 && noise.len() >= HEADER_SIZE {
            noise[..8].copy_from_slice(&whole[..8]);
        }
        messages.push(noise);
    }
    for message in &messages {
        assert!(is_hung_up_on(&scene, message), "{:?}", &message[..message.len().min(64)]);
    }
    assert_eq!(scene.bundle.state(ID)["status"], "running");
    assert_eq!(scene.ok(&["exec", ID, "echo", "alive"]).out, "alive\n");
    scene.delete();
}

#[test]
fn connections_that_say_nothing_keep_nobody_out() {
    let scene = Scene::running();
    let silent: Vec<UnixStream> =
        (0..200).map(|_| UnixStream::connect(scene.directory().join("control.sock")).unwrap()).collect();
    assert_eq!(scene.ok(&["exec", ID, "echo", "alive"]).out, "alive\n");
    drop(silent);
    scene.delete();
}

#[test]
fn requests_out_of_place_are_answered() {
    let scene = Scene::running();
    for (text, expected) in [
        (r#"{"request":"start"}"#, "done"),
        (r#"{"request":"kill","pid":999,"signal":9,"all":false}"#, "failed"),
        (r#"{"request":"kill","pid":1,"signal":999,"all":false}"#, "failed"),
        (r#"{"request":"kill","pid":1,"signal":-1,"all":true}"#, "failed"),
        (r#"{"request":"resize","pid":77,"columns":1,"rows":1}"#, "done"),
    ] {
        let mut stream = UnixStream::connect(scene.directory().join("control.sock")).unwrap();
        let header = Header { text: text.len() as u32, files: 0 }.encode();
        stream.write_all(&[&header[..], text.as_bytes()].concat()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut answer = [0; HEADER_SIZE];
        stream.read_exact(&mut answer).unwrap();
        let mut reply = vec![0; Header::decode(&answer).unwrap().text as usize];
        stream.read_exact(&mut reply).unwrap();
        let reply: serde_json::Value = serde_json::from_slice(&reply).unwrap();
        assert_eq!(reply["reply"], expected, "{text}: {reply}");
    }
    assert_eq!(scene.ok(&["exec", ID, "echo", "alive"]).out, "alive\n");
    scene.delete();
}
