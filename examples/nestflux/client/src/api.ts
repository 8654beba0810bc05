import { apiUrl } from './env';

/** One request to the server, which the proxy offers under `/api` unless told otherwise. Rejects with what went wrong. */
export async function api<T>(path: string, method = 'GET', body?: unknown): Promise<T> {
  const response = await fetch(`${apiUrl}${path}`, {
    method,
    headers: { Accept: 'application/json', ...(body !== undefined && { 'Content-Type': 'application/json' }) },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(describeFailure(response.status, text));
  return (text === '' ? undefined : JSON.parse(text)) as T;
}

/** NestJS and Portcullis answer a fault in the same shape. */
function describeFailure(status: number, text: string): string {
  try {
    const { message, requestId } = JSON.parse(text);
    return `${status}: ${message}${requestId ? ` (request ${requestId})` : ''}`;
  } catch {
    return `the server answered ${status}`;
  }
}
