/** Where tasks of a plan stand, computed from what has come so far. Tasks come dependencies first. */

/** @typedef {{id: string, depends_on: string[], effort: {likely: number}}} Task */

/** How many tasks lie before each one on its longest way. @param {Task[]} tasks @returns {Map<string, number>} */
export function depths(tasks) {
  return longest(tasks, () => 1);
}

/** When each task can begin at the earliest, in hours. @param {Task[]} tasks @returns {Map<string, number>} */
export function starts(tasks) {
  return longest(tasks, (task) => task.effort.likely);
}

/** @param {Task[]} tasks @param {(task: Task) => number} length @returns {Map<string, number>} */
function longest(tasks, length) {
  const found = new Map();
  const byId = new Map(tasks.map((task) => [task.id, task]));
  for (const task of tasks) {
    const ends = task.depends_on.filter((id) => found.has(id)).map((id) => found.get(id) + length(/** @type {Task} */ (byId.get(id))));
    found.set(task.id, Math.max(0, ...ends));
  }
  return found;
}
