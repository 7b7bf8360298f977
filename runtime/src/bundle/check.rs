//! Checks of config.json that concern the whole of it.

use anyhow::{Result, bail};
use oci_spec::runtime::{Hook, Hooks, Spec};

/// Refuses other systems' settings, versions that are not ours, and hooks that cannot be found.
///
/// # Errors
/// Names the setting.
pub fn check(spec: &Spec) -> Result<()> {
    let version = spec.version();
    let major = version.split('.').next().unwrap_or_default();
    if version.is_empty() {
        bail!("ociVersion: must be given");
    }
    if major != "1" || version.split('.').count() < 3 {
        bail!("ociVersion: {version:?} is not supported (1.x.y is)");
    }
    for (name, set) in [
        ("solaris", spec.solaris().is_some()),
        ("windows", spec.windows().is_some()),
        ("vm", spec.vm().is_some()),
        ("zos", spec.zos().is_some()),
    ] {
        if set {
            bail!("{name}: is not for Linux containers");
        }
    }
    if let Some(hooks) = spec.hooks() {
        check_hooks(hooks)?;
    }
    Ok(())
}

#[allow(deprecated, reason = "engines still use prestart")]
fn check_hooks(hooks: &Hooks) -> Result<()> {
    let phases: [(&str, &Option<Vec<Hook>>); 6] = [
        ("prestart", hooks.prestart()),
        ("createRuntime", hooks.create_runtime()),
        ("createContainer", hooks.create_container()),
        ("startContainer", hooks.start_container()),
        ("poststart", hooks.poststart()),
        ("poststop", hooks.poststop()),
    ];
    for (name, hooks) in phases {
        for (index, hook) in hooks.iter().flatten().enumerate() {
            if !hook.path().is_absolute() {
                bail!("hooks.{name}[{index}].path: {} is not an absolute path", hook.path().display());
            }
            if hook.timeout().is_some_and(|t| t <= 0) {
                bail!("hooks.{name}[{index}].timeout: must be greater than zero");
            }
        }
    }
    Ok(())
}
