import packageJson from '../package.json' with { type: 'json' };

/** The version of this server, as its package says; the build carries it along. */
export const { version } = packageJson;
