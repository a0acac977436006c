import { plural } from '../i18n/words';

export const alertsWords = {
  alerts: {
    title: 'Alertas',
    lead: 'Lo que va mal ahora, lo peor primero.',
    lookedAt: (time: string) => `Lo que va mal ahora, lo peor primero. Comprobado a las ${time}.`,
    none: 'Nada va mal',
    notYet: 'Todavía no se ha comprobado nada',
    noneNext: 'Esto es lo que se vigila; en cuanto algo pase de su límite, se verá aquí.',
    watched: 'Qué se vigila',
    severity: { critical: 'Crítico', warning: 'Aviso', notice: 'Para saber' },
    since: (ago: string) => `Desde ${ago}`,
    over: (ago: string) => `Terminó ${ago}`,
    value: (text: string) => `Ahora ${text}`,
    limit: (text: string) => `límite ${text}`,
    system: 'De todo el sistema',
    runbook: 'Qué hacer',
    silence: 'Silenciar',
    unsilence: 'Quitar el silencio',
    silencedBy: (who: string, until: string) => `Silenciada por ${who} hasta ${until}:`,
    silenced: (n: number, text: string) => plural(n, `${text} silenciada`, `${text} silenciadas`),
    pending: (n: number, text: string) => plural(n, `${text} que lo será si dura`, `${text} que lo serán si duran`),
    resolved: (n: number, text: string) =>
      plural(n, `${text} terminada en los últimos siete días`, `${text} terminadas en los últimos siete días`),
    wanting: (n: number, text: string) => plural(n, `${text} alerta por atender`, `${text} alertas por atender`),
    dialog: {
      title: 'Silenciar una alerta',
      explain:
        'Seguirá en la lista, debajo de las demás, y no se contará. El silencio termina solo y vale para tu organización.',
      lasting: 'Durante',
      until: (time: string) => `Hasta ${time}`,
      reason: 'Por qué',
      reasonHint: 'Queda en la auditoría, para quien venga después.',
      confirm: 'Silenciar',
    },
    what: {
      breaker: (stage: string) => `${stage} está cortada: deja de llamar a un servicio que falla`,
      halfOpen: (stage: string) => `${stage} prueba de nuevo un servicio que fallaba`,
      processors: (n: number, text: string, pipeline: string) =>
        plural(n, `Nadie ejecuta 1 etapa de ${pipeline}`, `Nadie ejecuta ${text} etapas de ${pipeline}`),
      queueLag: (queue: string, age: string) => `En la cola ${queue} el primero espera desde hace ${age}`,
      queueGrows: (queue: string, depth: string) => `La cola ${queue} crece: ${depth} esperan`,
      untold: (n: number, text: string) =>
        plural(n, 'El broker no dice qué espera en 1 cola', `El broker no dice qué espera en ${text} colas`),
      config: (n: number, text: string) =>
        plural(
          n,
          'La configuración tiene 1 error: ningún proceso la acepta',
          `La configuración tiene ${text} errores: ningún proceso la acepta`,
        ),
      partitions: (n: number, text: string) =>
        plural(
          n,
          'Falta 1 partición de los próximos días en la base de datos',
          `Faltan ${text} particiones de los próximos días en la base de datos`,
        ),
      late: (stage: string, age: string) => `${stage} va ${age} por detrás`,
      slow: (pipeline: string, time: string) => `Los eventos de ${pipeline} tardan ${time} en guardarse`,
      retries: (stage: string, share: string) => `${stage} repite el ${share} de sus eventos`,
      balance: {
        twice: (n: number, text: string, pipeline: string) =>
          plural(n, `${pipeline}: 1 evento terminó dos veces`, `${pipeline}: ${text} eventos terminaron dos veces`),
        unreceived: (n: number, text: string, pipeline: string) =>
          plural(
            n,
            `${pipeline}: 1 evento terminó sin haber llegado`,
            `${pipeline}: ${text} eventos terminaron sin haber llegado`,
          ),
        in_flight: (n: number, text: string, pipeline: string) =>
          plural(
            n,
            `${pipeline}: 1 evento llegó y no terminó, y nada espera`,
            `${pipeline}: ${text} eventos llegaron y no terminaron, y nada espera`,
          ),
      },
      letters: (stage: string, share: string, reason: string) =>
        `${stage} rechaza el ${share} de sus eventos: ${reason}`,
      openLetters: (n: number, text: string) =>
        plural(
          n,
          `${text} evento sin procesar espera una decisión`,
          `${text} eventos sin procesar esperan una decisión`,
        ),
      silent: (source: string, age: string) => `${source} no envía nada desde hace ${age}`,
      rejected: (source: string, share: string) => `Se rechaza el ${share} de lo que envía ${source}`,
      unmapped: (source: string, share: string) => `El ${share} de lo que envía ${source} tiene códigos desconocidos`,
    },
    kinds: {
      'breaker-open': 'Etapas cortadas de un servicio',
      'processors-missing': 'Etapas que nadie ejecuta',
      'queue-lag': 'Colas en las que se espera',
      'queue-growing': 'Colas que crecen',
      'queues-unknown': 'Colas de las que no se sabe',
      'config-refused': 'Configuración con errores',
      'partitions-missing': 'Particiones de la base de datos',
      'stage-late': 'Etapas que van tarde',
      'pipeline-slow': 'Lo que tarda en guardarse',
      'stage-retries': 'Etapas que repiten',
      'balance-broken': 'El cuadre de todos los eventos',
      'dead-letters-rising': 'Rechazos que aumentan',
      'dead-letters-open': 'Eventos sin procesar',
      'carrier-silent': 'Transportistas callados',
      'carrier-rejected': 'Rechazos de un transportista',
      'carrier-unmapped': 'Códigos desconocidos de un transportista',
    },
  },
};
