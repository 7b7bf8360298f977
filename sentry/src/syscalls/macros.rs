//! What the table is written in.

/// Declares every system call once: its number, its name, its typed arguments, its result, and the function that does
/// it (`call` for a plain function, `wait` for one that may block). An argument or result whose type does not say how it
/// is traced names a view behind `as`. Behind `missing` stand those that are not there, with the errno that they give.
macro_rules! syscalls {
    (
        $($nr:literal $name:ident ( $($arg:ident : $ty:ty $(as $view:ty)?),* ) -> $ret:ty $(as $shown:ty)? = $mode:ident $module:ident :: $function:ident ;)*
        missing { $($missing_nr:literal $missing:ident $errno:ident $why:literal;)* }
    ) => {
        /// Every call that is there.
        pub const CALLS: &[Call] = &[$(Call {
            number: $nr,
            name: stringify!($name),
            arguments: &[$(Parameter {
                name: stringify!($arg),
                kind: syscalls!(@name $ty $(, $view)?),
                shape: <$ty as Argument>::SHAPE,
                late: <syscalls!(@view $ty $(, $view)?) as View>::LATE,
                optional: <syscalls!(@view $ty $(, $view)?) as View>::OPTIONAL,
                remembered: <syscalls!(@view $ty $(, $view)?) as View>::REMEMBERED,
                show: <syscalls!(@view $ty $(, $view)?) as View>::show,
                show_behind: <syscalls!(@view $ty $(, $view)?) as View>::show_behind,
            }),*],
            result: stringify!($ret),
            show_result: <syscalls!(@view $ret $(, $shown)?) as View>::show,
        }),*];

        /// Every call that is missing: number, name, errno, why.
        pub const MISSING: &[(u64, &str, Errno, &str)] = &[$(($missing_nr, stringify!($missing), Errno::$errno, $why)),*];

        /// Does the call of this number.
        ///
        /// # Errors
        /// What the call gives, `ENOSYS` for a number that is none.
        pub async fn dispatch(current: &mut Current, number: u64, arguments: [u64; 6]) -> Result<Outcome> {
            match number {
                $($nr => {
                    #[allow(unused_mut, unused_variables, reason = "calls without arguments")]
                    let mut raw = arguments.into_iter();
                    $(let $arg: $ty = <$ty as Argument>::decode(raw.next().unwrap_or_default());)*
                    let done: Result<$ret> = syscalls!(@$mode current, super::$module::$function, $($arg),*);
                    done.map(Returned::outcome)
                })*
                $($missing_nr => Err(Errno::$errno),)*
                _ => Err(Errno::ENOSYS),
            }
        }
    };
    (@view $ty:ty) => { $ty };
    (@view $ty:ty, $view:ty) => { $view };
    (@name $ty:ty) => { stringify!($ty) };
    (@name $ty:ty, $view:ty) => { stringify!($view) };
    (@call $current:ident, $function:path, $($arg:ident),*) => { $function($current, $($arg),*) };
    (@wait $current:ident, $function:path, $($arg:ident),*) => { $function($current, $($arg),*).await };
}

pub(super) use syscalls;
