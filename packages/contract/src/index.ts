export * from './errors.ts';
export * from './event.ts';
export * from './operation.ts';
export * from './operations.ts';
export * from './system.ts';
export * from './task.ts';
export * from './task-inputs.ts';
export * from './work-directory.ts';
