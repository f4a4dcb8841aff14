// The studio's HTTP interface. A mistake comes as an Error whose message is the server's one line.

class StudioError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

async function ask(method, path, body) {
  const isForm = body instanceof FormData;
  let answer;
  try {
    answer = await fetch(path, {
      method,
      headers: body && !isForm ? { "Content-Type": "application/json" } : {},
      body: isForm ? body : body && JSON.stringify(body),
    });
  } catch {
    throw new StudioError("The studio does not answer. Is `mcld studio` still running?", 0);
  }
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new StudioError(said.error ?? `The studio answered ${answer.status}.`, answer.status);
  return said;
}

export const getStudio = () => ask("GET", "/api/studio");
export const openSession = () => ask("POST", "/api/sessions");
export const getSession = (session) => ask("GET", `/api/sessions/${session}`);
export const removeSession = (session) => ask("DELETE", `/api/sessions/${session}`);

/** What belongs to one session. */
export function sessionApi(session) {
  const root = `/api/sessions/${session}`;
  return {
    async upload(file, kind) {
      const form = new FormData();
      form.append("kind", kind);
      form.append("file", file, file.name);
      return (await ask("POST", `${root}/files`, form)).file;
    },
    takeExample: async (example) => (await ask("POST", `${root}/examples`, { example })).file,
    readPerson: async (photos) => (await ask("POST", `${root}/people`, { photos })).job,
    poseFigure: (change) => ask("POST", `${root}/pose`, change),
    savePose: async (pose) => (await ask("POST", `${root}/poses`, pose)).file,
    preview: (source, edits) => ask("POST", `${root}/preview`, { source, edits }),
    startJob: async (request) => (await ask("POST", `${root}/jobs`, request)).job,
    getJob: async (id) => (await ask("GET", `${root}/jobs/${id}`)).job,
    removeJob: async (id) => (await ask("DELETE", `${root}/jobs/${id}`)).job,
  };
}
