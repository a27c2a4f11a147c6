/**
 * Services of the system that begin anew with it: a connection to one comes back closed, and whoever has it is told so
 * beforehand by the name of the service. Their protocols keep a state at the other end that nobody can make again.
 */
const SERVICES: readonly (readonly [RegExp, string])[] = [
  [/^\/(var\/)?run\/dbus\/system_bus_socket$/, "system bus"],
  [/^\/run\/user\/\d+\/bus$/, "user's bus"],
  [/^\/run\/(systemd|user\/\d+\/systemd)\/private$/, "service manager"],
  [/^\/run\/systemd\/userdb\/[^/]+$/, "user database of systemd (varlink)"],
  [/^\/run\/systemd\/(.+\/)?io\.systemd\.[\w.]+$/, "services of systemd (varlink)"],
];

/** What listens by that name, if it is one of them. */
export function closingService(name: string): string | undefined {
  return SERVICES.find(([pattern]) => pattern.test(name))?.[1];
}
