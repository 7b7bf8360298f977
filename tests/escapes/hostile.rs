//! Programs that mean harm, or mean nothing by it: the kernel lives, and others are untouched.

use moat_tests::bundle::Bundle;
use serde_json::json;

use crate::attack::Attack;

/// For how long a seed is tried.
const SECONDS: &str = "6";

/// A neighbour lives on while `attack` is at work.
fn beside_a_neighbour(attack: &Attack) -> moat_tests::said::Said {
    let neighbour = Bundle::new(&["sleep", "100"]);
    assert_eq!(neighbour.create("neighbour").code, 0);
    neighbour.succeed(&["start", "neighbour"]);
    let said = attack.run();
    assert_eq!(neighbour.run(&["exec", "neighbour", "echo", "well"]).out, "well\n");
    assert_eq!(neighbour.state("neighbour")["status"], "running");
    said
}

fn survives(seed: &str) {
    let attack = Attack::new(&["fuzz", seed, SECONDS]).with_program("fuzz");
    let said = beside_a_neighbour(&attack);
    assert_eq!((said.code, said.out.as_str()), (0, "survived\n"), "seed {seed}: {said:?}");
    attack.assert_host_untouched();
}

#[test]
fn the_kernel_survives_wild_calls() {
    survives("1");
}

#[test]
fn the_kernel_survives_other_wild_calls() {
    survives(&std::env::var("MOAT_FUZZ_SEED").unwrap_or("2".into()));
}

#[test]
fn greed_ends_with_an_error() {
    let attack = Attack::new(&["greedy"]).with_program("greedy");
    attack.bundle.edit(|c| {
        c["linux"]["resources"]["pids"] = json!({ "limit": 60 });
        c["process"]["rlimits"] = json!([{ "type": "RLIMIT_NOFILE", "soft": 256, "hard": 256 }]);
    });
    let said = beside_a_neighbour(&attack);
    let expected = "processes: many EAGAIN\nthreads: many EAGAIN\ndescriptors: many EMFILE\nmemory: many ENOMEM\n\
                    afterwards: 3\n";
    assert_eq!(said.out, expected, "{said:?}");
    attack.assert_host_untouched();
}
